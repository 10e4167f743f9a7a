"""The stream of the door log: when it says that something was written, and how it ends.

Bug (penetration test): a viewer's 40 door logs turned the manager's away.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from doorctl.accounts.roles import Role
from doorctl.lookup.app import App
from doorctl.services.visits import version
from doorctl.web.staff.log import log_pages
from doorctl.web.staff.log_events import MOST_CLIENTS, MOST_OF_ONE, LogEvents
from tests.fakes.waiting import LIMIT_S
from tests.web.door_log import WrittenLog, visit
from tests.web.listening import Listener, listening, played
from tests.web.pages import staging

STREAM = b"text/event-stream"
QUIET = {"beat_s": LIMIT_S, "trust_s": LIMIT_S, "send_s": LIMIT_S, "look_s": 0.02}


class House:
    """A log page and its stream, on a stage."""

    def __init__(self, app: App, **limits: float) -> None:
        self.door = WrittenLog(app)
        self.sessions = staging.everybody()
        around = staging.frame(self.sessions, app=app)
        self.events = LogEvents(around)
        vars(self.events).update(limits or QUIET)
        self.app = staging.application((*log_pages(around), *self.events.routes()), around)

    @property
    def place(self) -> str:
        """How a page says what it shows."""
        return str(version(self.door.app))


class Browser(Listener):
    """Somebody's open door log; `last`: the event that it had last."""

    def __init__(
        self,
        house: House,
        query: str = "",
        last: str = "",
        role: Role = Role.VIEWER,
        *,
        stuck: bool = False,
    ) -> None:
        cookies = f"doorctl={role.value}; doorctl-language=da".encode()
        headers = [(b"host", b"testserver"), (b"cookie", cookies), (b"accept", STREAM)]
        headers += [(b"last-event-id", last.encode())] if last else []
        super().__init__(house.app, "/log/events", query, headers, stuck)

    async def event(self) -> str:
        """Return the next event's id, or what else was told."""
        told = await self.next()
        lines = told.split("\n")
        return next((one.removeprefix("id: ") for one in lines if one.startswith("id: ")), told)


@pytest.mark.parametrize("written", ["attempt", "event", "alarm"])
@played
async def test_an_open_page_is_told_of_whatever_its_log_shows(app: App, written: str) -> None:
    """An attempt, what the door did without a card, and an alarm of the web process."""
    house = House(app)
    house.door.write(visit(1))
    browser = Browser(house, query=f"since={house.place}")
    async with listening(browser):
        assert (await browser.event()).startswith("retry: ")
        if written == "attempt":
            house.door.write(visit(2, None))
        elif written == "event":
            house.door.happen((staging.NOW, "door_held", "", ""))
        else:
            house.door.alarm("push_guarded")
        async with asyncio.timeout(LIMIT_S / 2):  # A beat would tell it as well, but late.
            told = await browser.told.get()
        assert told == f"event: news\nid: {house.place}\ndata: written\n\n"
    assert house.events.clients == 0


@pytest.mark.parametrize("known", ["now", "long ago", ""])
@played
async def test_a_browser_that_was_away_misses_nothing(app: App, known: str) -> None:
    """Its last event says what it has; where that is not what stands there now, it is told."""
    house = House(app)
    house.door.write(visit(1))
    last = house.place if known == "now" else known
    browser = Browser(house, last=last, query="since=before")
    async with listening(browser):
        await browser.event()
        if known != "now":
            assert await browser.event() == house.place
        house.door.write(visit(2))
        assert await browser.event() == house.place


@played
async def test_silence_is_broken_and_a_log_that_fails_is_asked_again(app: App) -> None:
    """A beat comes without news; a disk that fails for a while ends no stream."""
    house = House(app, beat_s=0.05, look_s=0.02)
    browser = Browser(house, query=f"since={house.place}")
    async with listening(browser):
        await browser.event()
        assert await browser.event() == ": beat\n\n"
        house.door.break_it()
        await asyncio.sleep(0.2)
        house.door.mend_it()
        house.door.write(visit(1))
        while await browser.event() != house.place:
            pass


@pytest.mark.parametrize("ended", ["signed out", "another's"])
@played
async def test_a_session_that_ends_ends_its_stream(app: App, ended: str) -> None:
    """Nobody goes on reading who was signed out or replaced."""
    house = House(app, beat_s=0.05, trust_s=0.0, look_s=0.02)
    browser = Browser(house)
    async with listening(browser) as task:
        await browser.event()
        await browser.event()
        if ended == "signed out":
            house.sessions.people.clear()
        else:
            house.sessions.people["viewer"] = staging.person("somebody", Role.VIEWER)
        async with asyncio.timeout(LIMIT_S):
            await asyncio.shield(task)


@played
async def test_a_browser_that_takes_nothing_is_dropped(app: App) -> None:
    """It is not waited for, and its place is free again."""
    house = House(app, send_s=0.05, look_s=0.02)
    house.door.write(visit(1))
    browser = Browser(house, query="since=before", stuck=True)
    async with listening(browser) as task:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.shield(task)
        assert house.events.clients == 0


@played
async def test_who_may_not_look_gets_no_stream(app: App) -> None:
    """Nobody signed in is told so plainly, for no page is wanted."""
    house = House(app)
    house.sessions.people.clear()
    browser = Browser(house)
    async with listening(browser) as task:
        await task
    assert browser.status == 401


@played
async def test_a_crowd_shuts_nobody_else_out(app: App) -> None:
    """One account has so many streams, and all have so many: beyond them the answer is 503.

    So the others' stay free, and one that ends makes room. The server ends at once all the same:
    it ends the streams first.
    """
    house, tasks = House(app), list[asyncio.Task[None]]()
    house.door.write(visit(1))
    async with AsyncExitStack() as stack:

        async def come(role: Role) -> Browser:
            """Open another log, and wait for its answer."""
            browser = Browser(house, role=role)
            tasks.append(await stack.enter_async_context(listening(browser)))
            await browser.next()
            return browser

        roles = (Role.VIEWER, Role.STAFF, Role.MANAGER, Role.DPO)
        crowd = [[await come(role) for _ in range(MOST_OF_ONE + 1)] for role in roles]
        for opened in crowd:
            assert [one.status for one in opened] == [200] * MOST_OF_ONE + [503]
        assert house.events.clients == MOST_CLIENTS
        assert (await come(Role.TECHNICIAN)).status == 503
        crowd[0][0].gone.set()
        await tasks[0]
        assert (await come(Role.TECHNICIAN)).status == 200
        house.events.stop()
        await asyncio.gather(*tasks)
        assert (await come(Role.MANAGER)).status == 503
    assert house.events.clients == 0
