"""Figures for Prometheus, and the rules and the picture that are made of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from zoneinfo import ZoneInfo

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from doorctl.config import Config
from doorctl.services.app import App
from doorctl.store.connection import create_private
from doorctl.web.watching import METRICS, family
from tests.web.addresses import built
from tests.web.branch import rows
from tests.web.conftest import Apps, Branches

WATCHING = Path("config/watching")
RULES, BOARD = WATCHING / "doorctl.rules.yml", WATCHING / "doorctl.dashboard.json"
SYNC_RULES = WATCHING / "doorctl-sync.rules.yml"
TOKEN = "only-for-this-test"
LABELLED = re.compile(r'doorctl_x\{kind="((?:[^"\\\n]|\\[\\"n])*)"\} (\S+)')
"""A sample with a label, by the format's own grammar."""


@pytest.fixture
def page(apps: Apps, tmp_path: Path) -> Iterator[tuple[TestClient, Config]]:
    """The page of a small branch with a token, in this process."""
    file = tmp_path / "metrics.token"
    create_private(file, f"{TOKEN}\n".encode())
    config = apps(f"metrics.token_file={file}").config
    with asking(config) as client:
        yield client, config


@contextmanager
def asking(config: Config) -> Iterator[TestClient]:
    """Give who asks the pages of a branch."""
    with built(config) as shown, TestClient(Starlette(routes=shown.routes)) as client:
        yield client


def scraped(ask: Callable[..., httpx2.Response]) -> str:
    """Return the figures."""
    answer = ask("GET", METRICS, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def read_by_promtool(words: list[str], text: str = "") -> None:
    """Have Prometheus' own tool read it."""
    done = subprocess.run(
        ["promtool", *words], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_figures_of_a_branch(branches: Branches, tmp_path: Path) -> None:
    """By a running door and by none; what rules and board name is there, and no other number."""
    create_private(tmp_path / "metrics.token", f"{TOKEN}\n".encode())
    branch = branches(f"metrics.token_file={tmp_path}/metrics.token")
    branch.start()
    assert branch.push(branch.document(rows(3), 1)).status_code == 200
    named = set(re.findall(r"doorctl_[a-z_]+", RULES.read_text() + BOARD.read_text()))
    down = scraped(branch.ask)
    assert "doorctl_door_up 0.0\n" in down
    with branch.stage:
        branch.stage.start()
        count_visits(branch.config, 4, days_ago=1)
        few = scraped(branch.ask)
        count_visits(branch.config, 8, days_ago=1)
        text = scraped(branch.ask)

    assert "doorctl_door_up 1.0\n" in text
    assert "doorctl_door_deciding 1.0\n" in text
    assert 'doorctl_alarm_standing{kind="reader_lost"} 0.0\n' in text
    assert "doorctl_visits_yesterday" not in few
    assert "doorctl_visits_yesterday 10.0\n" in text
    assert named == set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    kinds = set(re.findall(r'kind=~?\\?"([a-z_|]+)', RULES.read_text()))
    assert all(f'kind="{kind}"' in text for some in kinds for kind in some.split("|"))
    if shutil.which("promtool"):
        read_by_promtool(["check", "metrics"], text)


def test_no_figure_steps_while_a_patron_comes_in(page: tuple[TestClient, Config]) -> None:
    """Whoever asks each second would see when the third, the eighth and so on come.

    Bug (read again by hand): `doorctl_visits_today` was rounded and rose while one came in.
    """
    client, config = page
    figures = set()
    for count in range(12):
        count_visits(config, count, days_ago=0)
        figures.add(re.search(r"doorctl_visits_\w+ (\S+)", scraped(client.request)))

    assert figures == {None}


def count_visits(config: Config, count: int, *, days_ago: int) -> None:
    """Have so many patrons been let in within an hour of that day."""
    day = datetime.now(ZoneInfo("Europe/Copenhagen")) - timedelta(days=days_ago)
    hour = day.replace(minute=0, second=0, microsecond=0)
    with closing(Connection(config.storage.visits_db)) as visits, visits:
        visits.execute(
            "INSERT OR REPLACE INTO hourly (hour, mode, kind, outcome, count) "
            "VALUES (?, 'self_service', 'attempt', 'ok', ?)",
            (int(hour.timestamp()) // 3600, count),
        )


def test_nobody_gets_figures_without_the_token(page: tuple[TestClient, Config]) -> None:
    """A missing, another or a longer one is refused; nothing is told."""
    client, _ = page
    for given_token in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ø"):
        headers = {b"Authorization": given_token.encode()}
        answer = client.get(METRICS, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "doorctl_" not in answer.text


def test_figures_are_off_unless_asked_for(app: App) -> None:
    """Without a token file nobody gets them."""
    with asking(app.config) as client:
        assert client.get(METRICS).status_code == 404


@given(st.dictionaries(st.text('an\\"\n{}') | st.text(), st.none() | st.floats(allow_nan=False)))
def test_whatever_a_label_is_the_text_is_read_back(samples: dict[str, float | None]) -> None:
    """One line a known value, by the format's own escapes; nothing at all where none is known."""
    _, *lines = family("x", "What it means.", samples, "kind").split("gauge\n")
    read = {}
    for line in "".join(lines).removesuffix("\n").split("\n") if lines else ():
        found = LABELLED.fullmatch(line)
        assert found is not None, line
        unescaped = re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], found[1])
        read[unescaped] = float(found[2])

    assert read == {label: value for label, value in samples.items() if value is not None}


def test_each_panel_of_the_board_has_its_own_place() -> None:
    """Grafana takes a board whose panels have an id and a figure each."""
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"][0]["expr"].startswith("doorctl_") for panel in panels)
