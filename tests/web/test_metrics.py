"""Figures for Prometheus, and the rules and the picture that are made of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.web.watching import METRICS, family
from tests.web.branch import Branch, rows

WATCHING = Path("config/watching")
RULES, BOARD = WATCHING / "doorctl.rules.yml", WATCHING / "doorctl.dashboard.json"
SYNC_RULES = WATCHING / "doorctl-sync.rules.yml"
TOKEN = "only-for-this-test"
LABELLED = re.compile(r'doorctl_x\{kind="((?:[^"\\\n]|\\[\\"n])*)"\} (\S+)')
"""A sample with a label, by the format's own grammar."""

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is in Debian's package prometheus",
)


@pytest.fixture
def branch(branches: Callable[..., Branch], tmp_path: Path) -> Branch:
    """A branch with a token, whose web process runs."""
    file = tmp_path / "metrics.token"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    file.chmod(0o600)
    branch = branches(f"metrics.token_file={file}")
    branch.start()
    assert branch.push(branch.document(rows(3), 1)).status_code == 200
    return branch


def scraped(branch: Branch) -> str:
    """Return the figures."""
    answer = branch.ask("GET", METRICS, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def read_by_promtool(words: list[str], text: str = "") -> None:
    """Have Prometheus' own tool read it."""
    done = subprocess.run(
        ["promtool", *words], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_figures_of_a_branch(branch: Branch) -> None:
    """By a running door and by none; what rules and board name is there, and no other number."""
    named = set(re.findall(r"doorctl_[a-z_]+", RULES.read_text() + BOARD.read_text()))
    down = scraped(branch)
    assert "doorctl_door_up 0.0\n" in down
    with branch.stage:
        branch.stage.start()
        count_visits(branch, 4, days_ago=1)
        few = scraped(branch)
        count_visits(branch, 8, days_ago=1)
        text = scraped(branch)

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


def test_no_figure_steps_while_a_patron_comes_in(branch: Branch) -> None:
    """Whoever asks each second would see when the third, the eighth and so on come.

    Bug (read again by hand): `doorctl_visits_today` was rounded and rose while one came in.
    """
    figures = set()
    for count in range(12):
        count_visits(branch, count, days_ago=0)
        figures.add(re.search(r"doorctl_visits_\w+ (\S+)", scraped(branch)))

    assert figures == {None}


def count_visits(branch: Branch, count: int, *, days_ago: int) -> None:
    """Have so many patrons been let in within an hour of that day."""
    day = datetime.now(ZoneInfo("Europe/Copenhagen")) - timedelta(days=days_ago)
    hour = day.replace(minute=0, second=0, microsecond=0)
    with closing(Connection(branch.config.storage.visits_db)) as visits, visits:
        visits.execute(
            "INSERT OR REPLACE INTO hourly (hour, mode, kind, outcome, count) "
            "VALUES (?, 'self_service', 'attempt', 'ok', ?)",
            (int(hour.timestamp()) // 3600, count),
        )


def test_nobody_gets_figures_without_the_token(branch: Branch) -> None:
    """A missing, another or a longer one is refused; nothing is told."""
    for given_token in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ø"):
        headers = {"Authorization": given_token.encode()}
        answer = branch.ask("GET", METRICS, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "doorctl_" not in answer.text


def test_figures_are_off_unless_asked_for(branches: Callable[..., Branch]) -> None:
    """Without a token file nobody gets them."""
    branch = branches()
    branch.start()

    assert branch.ask("GET", METRICS).status_code == 404


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


@promtool
def test_prometheus_reads_the_rules() -> None:
    """As its own tool says."""
    read_by_promtool(["check", "rules", str(RULES), str(SYNC_RULES)])


def test_each_panel_of_the_board_has_its_own_place() -> None:
    """Grafana takes a board whose panels have an id and a figure each."""
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"][0]["expr"].startswith("doorctl_") for panel in panels)
