"""The page of incident holds, alone and with a door that runs.

Bug (attack review): every mistake in the form of a hold was an error page where the door runs: the
tests had a fake desk only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from html import escape

import pytest
from starlette.testclient import TestClient

from doorctl.accounts.account import Role
from doorctl.privacy.audit import Action
from doorctl.rpc.control import ControlServer
from doorctl.services import purging
from doorctl.services.app import App
from doorctl.services.purging import hold_answers
from doorctl.store.visits import VisitStore
from doorctl.web.staff.records import hold_pages
from tests.web.desk_records import recorded
from tests.web.door_log import WrittenLog, visit
from tests.web.pages.staging import NOW, browser

SECOND = timedelta(seconds=1)
ASKED = {
    "from": "2026-11-25T18:00",
    "to": "2026-11-25T19:00",
    "case": "0700-12345",
    "reason": "hærværk ved <døren>",
    "until": "2027-01-24",
}


def client(app: App, role: Role = Role.MANAGER, language: str = "da") -> TestClient:
    """Return a browser before the page."""
    return browser(hold_pages, role, language, app)


def test_a_window_is_held_shown_and_lifted(app: App) -> None:
    """Local times, the last day included; what it holds is looked at on record."""
    WrittenLog(app).write(visit(1), visit(30, "closed"), visit(60))
    manager = client(app)

    added = manager.post("/holds", data=ASKED)
    page = manager.get(added.headers["location"]).text
    held = manager.get("/holds/1").text
    lifted = manager.post("/holds/1/lift")

    assert "Tidsrummet er gemt." in page
    assert "hærværk ved &lt;døren&gt;" in page
    assert "24.1.2027" in page
    assert "Biblioteket er lukket nu." not in held
    assert "Døren blev åbnet" in held
    assert "?page=" not in held
    assert "Ingen tidsrum er gemt." in manager.get(lifted.headers["location"]).text
    assert [action for action, _, _ in recorded(app.config)] == [
        Action.HOLD_ADDED,
        Action.HOLD_SHOWN,
        Action.HOLD_LIFTED,
    ]


@pytest.mark.parametrize(
    ("asked", "first", "last", "links"),
    [
        ("", 1, 200, [2]),
        ("?page=2", 201, 400, [1, 3]),
        ("?page=3", 401, 401, [2]),
        ("?page=99", 401, 401, [2]),
        ("?page=0", 1, 200, [2]),
        ("?page=²", 1, 200, [2]),
        ("?page=" + "9" * 5000, 1, 200, [2]),
    ],
)
def test_what_a_hold_holds_comes_in_parts(
    app: App, asked: str, first: int, last: int, links: list[int]
) -> None:
    """Oldest first, with a way to the parts before and after; nonsense is the first or the last."""
    start = NOW - timedelta(hours=1)
    WrittenLog(app).write(*(visit(number, at=start + number * SECOND) for number in range(1, 402)))
    manager = client(app, language="en")
    manager.post("/holds", data=ASKED)
    page = manager.get(f"/holds/1{asked}").text

    assert f"Attempts {first} to {last} of 401" in page
    assert page.count('<td class="nowrap">') == last - first + 1
    assert f"{start + first * SECOND:%H:%M:%S}" in page
    assert re.findall(r'href="/holds/1\?page=(\d+)', page) == [str(one) for one in links]


def test_a_hold_that_is_sent_again_stands_once(app: App) -> None:
    """A page that is loaded again sends its form again."""
    manager = client(app)
    form = ASKED | {"once": "of-this-form"}

    assert manager.post("/holds", data=form).status_code == 303
    again = manager.post("/holds", data=form)
    assert again.status_code == 422
    assert "sendt før" in again.text


def test_the_window_around_an_attempt_is_offered(app: App) -> None:
    """A quarter of an hour before and after, and not later than now."""
    manager = client(app)

    usual = manager.get("/holds?around=2026-11-25T18:05").text
    late = manager.get("/holds?around=2026-11-25T19:25").text

    assert 'value="25.11.2026 kl. 17.50"' in usual
    assert 'value="25.11.2026 kl. 18.20"' in usual
    assert 'value="25.11.2026 kl. 19.30"' in late
    assert manager.get("/holds?around=nonsense").status_code == 200


@pytest.fixture(params=["alone", "beside the door"])
def owned(request: pytest.FixtureRequest, app: App) -> Iterator[App]:
    """A branch whose door log nobody else has, or whose door takes questions about holds."""
    if request.param == "alone":
        yield app
        return
    with ExitStack() as stack:
        worker = stack.enter_context(ThreadPoolExecutor(1))
        visits = worker.submit(VisitStore, app.storage.visits_db).result()
        stack.callback(lambda: worker.submit(visits.close).result())
        answers = hold_answers(app, visits, lambda job: worker.submit(job).result())
        server = ControlServer(app.config.control.socket, answers)
        server.start()
        stack.callback(server.stop)
        yield app


def test_a_hold_that_is_none_is_told_in_danish(owned: App) -> None:
    """Such as one that a colleague has just lifted; no command is named."""
    answer = client(owned).post("/holds/9/lift")

    assert answer.status_code == 422
    assert "Der er intet gemt tidsrum nr. 9." in answer.text
    assert "doorctl hold" not in answer.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"from": ""}, "Angiv, fra hvornår"),
        ({"until": ""}, "Angiv den sidste dag"),
        ({"until": "soon"}, "Skriv datoen som 24.12.2026"),
        ({"to": "2026-11-25T17:00"}, "slutter, før det begynder"),
        ({"to": "2026-11-25T23:00"}, "slutter i fremtiden"),
        ({"until": "2027-11-25"}, "højst 180 dage"),
        ({"from": "2026-10-16T18:00"}, "begynder før 26.10.2026 kl. 19.30"),
        ({"case": ""}, "Angiv et sagsnummer"),
        ({"reason": "CPR 0101701234"}, "Intet blev gemt."),
    ],
)
def test_a_hold_that_makes_no_sense(owned: App, wrong: dict[str, str], told: str) -> None:
    """The form says why, by local time, keeps what was typed, and nothing is held."""
    answer = client(owned).post("/holds", data=ASKED | wrong)

    assert (answer.status_code, recorded(owned.config)) == (422, [])
    assert purging.stored_holds(owned)[0] == ()
    assert told in answer.text
    assert "UTC" not in answer.text
    for typed in (ASKED | wrong).values():
        assert escape(typed) in answer.text or "CPR" in typed
