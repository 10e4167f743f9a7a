"""Incident holds where the door runs: the page and its service over the real socket.

Bug (attack review): every mistake in the form of a hold was an error page where the door runs: the
tests had a fake desk only.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from doorctl.accounts.account import Role
from doorctl.config import Config
from doorctl.rpc.control import ControlServer
from doorctl.services.app import App
from doorctl.services.purging import hold_answers
from doorctl.store.visits import VisitStore
from doorctl.web.staff.records import hold_pages
from tests.services.branches import initialised
from tests.web.pages.staging import ZONE, browser

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = datetime.now(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A branch whose door takes questions about holds on its socket."""
    config = initialised(tmp_path, "clock.trust=always")
    with ExitStack() as stack:
        worker = stack.enter_context(ThreadPoolExecutor(1))
        visits = worker.submit(VisitStore, config.storage.visits_db).result()
        stack.callback(lambda: worker.submit(visits.close).result())
        answers = hold_answers(App.of(config), visits, lambda job: worker.submit(job).result())
        server = ControlServer(config.control.socket, answers)
        server.start()
        stack.callback(server.stop)
        yield config


def client(config: Config) -> TestClient:
    """Return a manager's browser before the page of holds."""
    return browser(hold_pages, Role.MANAGER, app=App.of(config))


def test_the_form_comes_back_and_says_what_is_gone_by_local_time(config: Config) -> None:
    """In Danish, with all that was typed."""
    gone = (datetime.now(UTC) - 30 * DAY).astimezone(ZONE)
    form = {
        "from": f"{NOW - 40 * DAY:%Y-%m-%dT%H:%M}",
        "to": f"{NOW - HOUR:%Y-%m-%dT%H:%M}",
        "case": "2026-17",
        "reason": "knust rude",
        "until": f"{NOW + 60 * DAY:%Y-%m-%d}",
    }
    answer = client(config).post("/holds", data=form)

    assert answer.status_code == 422
    assert f"begynder før {gone.day}.{gone.month}.{gone.year} kl. " in answer.text
    assert "UTC" not in answer.text
    for typed in form.values():
        assert typed in answer.text


def test_a_hold_that_is_none_is_told_in_danish(config: Config) -> None:
    """Such as one that a colleague has just lifted; no command is named."""
    answer = client(config).post("/holds/9/lift")

    assert answer.status_code == 422
    assert "Der er intet gemt tidsrum nr. 9." in answer.text
    assert "doorctl hold" not in answer.text
