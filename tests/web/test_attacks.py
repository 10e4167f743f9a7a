"""What a stranger or a colleague tries at the pages, and what comes of it.

Bug (attack review): an identity provider that hangs held every thread that pages need.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from doorctl.accounts.account import Claims, Pending, Person, Role, Token
from doorctl.core.errors import InputError, StoreError, StuckError
from doorctl.core.masked import Masked
from doorctl.services.accounts import SigningIn
from doorctl.services.alarms import StandingAlarms
from doorctl.services.app import App
from doorctl.services.branch import BranchThread
from doorctl.web.frame import MOST_AT_ONCE, MOST_IN_LINE, THREADS, Turns, path_of
from doorctl.web.staff.accounts import MUNICIPALITY as PAGE
from doorctl.web.staff.accounts import MunicipalityPages
from doorctl.web.staff.calendar import CalendarPages
from doorctl.web.staff.now import now_pages
from doorctl.web.staff.records import hold_pages
from tests.web.pages.doorstep import Doorstep
from tests.web.pages.staging import FakeSessions, application, browser, frame

LIMIT_S = 20.0
CROWD = 3 * THREADS


class HangingProvider:
    """An identity provider that says nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = Event()

    def begin(self, *, again: bool = False) -> tuple[str, Pending]:
        """Wait, and send the browser somewhere."""
        assert not again
        self.let_go.wait(LIMIT_S)
        return "https://provider.example", Pending(Masked("state"), Masked("n"), Masked("v"))

    def finish(self, pending: Pending, *, state: str, code: str) -> Claims:
        """Believe nobody."""
        raise InputError(f"nobody began {state} with {code}, not even {pending!r}")

    def way_out(self) -> str:
        """Know of none."""
        return ""


def test_strangers_take_no_threads_from_staff(app: App, alarms: StandingAlarms) -> None:
    """However many wait for a provider that hangs, who is signed in gets their page at once."""
    provider = HangingProvider()
    around = frame(app=app)
    with (
        closing(BranchThread(app)) as branch,
        closing(SigningIn(app, branch, provider=provider)) as accounts,
    ):
        routes = [
            *MunicipalityPages(around, accounts).routes(),
            *now_pages(around, alarms),
        ]
        client = TestClient(application(routes, around), follow_redirects=False)
        with client, ThreadPoolExecutor(CROWD + 1) as crowd:
            waiting = [crowd.submit(client.get, PAGE) for _ in range(CROWD)]
            try:
                staff = crowd.submit(client.get, "/now", headers={"Cookie": "doorctl=staff"})
                assert staff.result(LIMIT_S / 2).status_code == 200
            finally:
                provider.let_go.set()
            assert {one.result(LIMIT_S).status_code for one in waiting} == {303}


def test_a_line_that_is_too_long_is_refused() -> None:
    """Who comes then is told to come again, and one that ends makes room."""

    async def play() -> None:
        """Fill the line, and empty it."""
        turns, over = Turns(), asyncio.Event()

        async def hold() -> None:
            """Have a turn until all is over."""
            async with turns.one():
                await over.wait()

        held = [asyncio.create_task(hold()) for _ in range(MOST_AT_ONCE + MOST_IN_LINE)]
        await asyncio.sleep(0)
        with pytest.raises(StuckError):
            await hold()
        over.set()
        await asyncio.gather(*held)
        async with turns.one():
            pass

    asyncio.run(play())


def test_a_host_with_a_path_in_it_is_no_path() -> None:
    """What a page may be asked for is judged by the path that it is found by."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/accounts",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "headers": [(b"host", b"x/me?")],
    }
    assert path_of(Request(scope)) == "/accounts"


@pytest.mark.parametrize("host", ["x/me?", "x/me#", "x\\me?", "x/sign-in?"])
def test_a_first_password_is_changed_whatever_the_host(host: str) -> None:
    """The host's header leads nobody around the page where it is changed.

    Bug (attack review): a made-up `Host` header led round the page where a first password is
    changed.
    """
    step = Doorstep()
    step.add("ny", must_change=True)
    answer = step.signed_in("ny").get("/log", headers={"Host": host})

    assert (answer.status_code, answer.headers["location"]) == (303, "/me")


def test_a_number_that_is_none_is_no_fault_of_ours(app: App) -> None:
    """However long it is, and whoever asks: it fills no journal with tracebacks."""

    def status(role: Role | None) -> int:
        """Ask for a hold that there can't be."""
        client = browser(hold_pages, role, app=app)
        return client.get(f"/holds/{'9' * 5000}").status_code

    assert (status(None), status(Role.MANAGER)) == (303, 404)


class FailingSessions(FakeSessions):
    """Sessions whose file is gone."""

    def whose(self, token: Token, /, **_: bool) -> Person | None:
        """Fail, with what only a technician should read."""
        raise StoreError(f"/var/lib/doorctl/branch.db can't be used for {token}")


def test_a_stranger_learns_nothing_of_files(app: App, alarms: StandingAlarms) -> None:
    """A fault is told in full to those alone who are signed in.

    Bug (attack review): a fault in a page told its text to people who are not signed in.
    """
    around = frame(FailingSessions(), app=app)
    routes = now_pages(around, alarms)
    client = TestClient(application(routes, around), headers={"Cookie": "doorctl=x"})
    answer = client.get("/now")

    assert answer.status_code == 503
    assert "branch.db" not in answer.text


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_days_beyond_all_calendars(day: str, app: App, alarms: StandingAlarms) -> None:
    """They are refused or taken for none, and are no fault of ours."""
    around = browser(
        lambda around: (
            *CalendarPages(around).routes(),
            *now_pages(around, alarms),
        ),
        Role.STAFF,
        app=app,
    )
    form = {"mode": "closed", "until": f"{day}T00:00", "cause": "en prøve"}

    assert around.get("/calendar", params={"month": day[:7]}).status_code == 200
    assert around.get(f"/calendar/{day}").status_code == 404
    assert around.post("/now/mode", data=form).status_code == 422
