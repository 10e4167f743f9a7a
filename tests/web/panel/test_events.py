"""The stream of screens: what comes, when nothing comes, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.web.panel import MOST_CLIENTS, MOST_ELSEWHERE
from tests.fakes.waiting import LIMIT_S
from tests.web.listening import Listener, played
from tests.web.listening import listening as listened
from tests.web.panel.screens import IDLE, STATES, Stage, showing

TYPING = PanelState(Kind.TYPING, 5, 2, 4, Keys.PIN)


class Stream(Listener):
    """A screen that listens."""

    def __init__(self, stage: Stage, client: str = "127.0.0.1") -> None:
        headers = [(b"host", b"127.0.0.1:8080")]
        super().__init__(stage.app, "/panel/events", "lang=da", headers, client=client)

    async def event(self) -> tuple[str, dict[str, Any]]:
        """Return the next event's name and what it tells; nothing for a beat."""
        name, data = (await self.next()).strip().split("\n")
        told = data.removeprefix("data: ")
        return name.removeprefix("event: "), {} if told == "." else json.loads(told)


@asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[Stream]:
    """Listen for a while; the browser goes at the end."""
    stream = Stream(stage)
    async with listened(stream):
        yield stream


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A door that shows the idle screen."""
    made = Stage(beat_s=LIMIT_S)
    made.door.show(IDLE)
    yield made
    made.panel.stop()


@played
async def test_a_screen_that_begins_is_told_what_is_shown(stage: Stage) -> None:
    """The first event comes at once, with the words and what the keys are."""
    async with listening(stage) as stream:
        name, told = await stream.event()

    assert name == "screen"
    shown = [told[part] for part in ("kind", "keys", "attempt", "rest")]
    assert shown == ["idle", "none", 4, True]
    assert "Scan dit kort" in told["html"]


@played
async def test_every_change_is_told(stage: Stage) -> None:
    """To each screen that listens, as dots and not as digits."""
    async with listening(stage) as one, listening(stage) as other:
        await one.event()
        await other.event()
        stage.door.show(TYPING)
        for stream in (one, other):
            _, told = await stream.event()
            assert (told["kind"], told["keys"], told["rest"]) == ("typing", "pin", False)
            assert told["html"].count('<i class="full">') == 2


@played
async def test_a_call_that_could_not_be_sent_is_told(stage: Stage) -> None:
    """Within seconds after the screen has said that the library is told, once."""
    stage.panel.beat_s = 0.2
    stage.door.show(STATES["called"])
    async with listening(stage) as stream:
        assert "Biblioteket får besked" in (await stream.event())[1]["html"]
        stage.reached = False
        assert "Beskeden kom ikke frem" in (await stream.event())[1]["html"]
        assert (await stream.event())[0] == "beat"


@played
async def test_a_door_that_goes_and_comes_back(stage: Stage) -> None:
    """It is out of order meanwhile."""
    async with listening(stage) as stream:
        await stream.event()
        stage.door.go_away()
        assert (await stream.event())[1]["kind"] == "out_of_order"
        stage.door.come_back()
        assert (await stream.event())[1]["kind"] == "idle"


@played
async def test_too_many_screens_are_turned_away(stage: Stage) -> None:
    """They come again later; those that listen go on, and one that goes makes room."""
    streams = [Stream(stage) for _ in range(MOST_CLIENTS)]
    tasks = [asyncio.create_task(stream.run()) for stream in streams]
    for stream in streams:
        await stream.event()
    extra = Stream(stage)
    await extra.run()
    assert extra.status == 503

    streams[0].gone.set()
    await tasks[0]
    async with listening(stage) as next_one:
        assert (await next_one.event())[0] == "screen"
    for stream in streams:
        stream.gone.set()
    await asyncio.gather(*tasks)


@played
async def test_the_streams_end_when_the_server_is_to_stop(stage: Stage) -> None:
    """Nobody who listens keeps the process from ending; whoever comes then is turned away."""
    stream = Stream(stage)
    task = asyncio.create_task(stream.run())
    await stream.event()
    stage.panel.stop()
    async with asyncio.timeout(LIMIT_S):
        await task
    late = Stream(stage)
    await late.run()
    assert late.status == 503


@played
async def test_a_page_that_nobody_looks_at_asks_the_door_nothing(stage: Stage) -> None:
    """The thread ends some looks after the last page went, and begins again with the next."""
    async with listening(stage) as stream:
        await stream.event()
    # The thread tells nobody that it ends.
    while stage.panel.watching:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with listening(stage) as stream:
        assert (await stream.event())[1]["kind"] == "idle"


@played
async def test_strangers_leave_the_screen_at_the_door_its_place() -> None:
    """Many who ask at once from elsewhere get a few streams, and the screen here still gets its."""
    stage = Stage(showing(elsewhere=True))
    stage.door.show(IDLE)
    strangers = [Stream(stage, "192.0.2.7") for _ in range(3 * MOST_CLIENTS)]
    screen = Stream(stage)
    tasks = [asyncio.create_task(one.run()) for one in (*strangers, screen)]
    try:
        assert (await screen.event())[0] == "screen"
        assert [one.status for one in strangers].count(200) == MOST_ELSEWHERE
    finally:
        stage.panel.stop()
        await asyncio.gather(*tasks)
