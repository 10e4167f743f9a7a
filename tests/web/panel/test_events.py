"""The stream of screens: what comes, when nothing comes, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.web.panel import MOST_CLIENTS
from tests.web.listening import LIMIT_S, Listener
from tests.web.listening import listening as listened
from tests.web.panel.screens import IDLE, STATES, Stage

TYPING = PanelState(Kind.TYPING, 5, 2, 4, Keys.PIN)


class Stream(Listener):
    """A screen that listens."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.app, "/panel/events", "lang=da", [(b"host", b"127.0.0.1:8080")])

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


def played(play: Callable[[Stage], Any], beat_s: float = LIMIT_S) -> None:
    """Play a scene with a door that shows the idle screen."""
    stage = Stage(beat_s=beat_s)
    stage.door.show(IDLE)
    try:
        asyncio.run(play(stage))
    finally:
        stage.panel.stop()


def test_a_screen_that_begins_is_told_what_is_shown() -> None:
    """The first event comes at once, with the words and what the keys are."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        async with listening(stage) as stream:
            name, told = await stream.event()

        assert name == "screen"
        assert (told["kind"], told["keys"], told["attempt"], told["rest"]) == (
            "idle",
            "none",
            4,
            True,
        )
        assert "Scan dit kort" in told["html"]

    played(play)


def test_every_change_is_told() -> None:
    """To each screen that listens, as dots and not as digits."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        async with listening(stage) as one, listening(stage) as other:
            await one.event()
            await other.event()
            stage.door.show(TYPING)
            for stream in (one, other):
                _, told = await stream.event()
                assert (told["kind"], told["keys"], told["rest"]) == ("typing", "pin", False)
                assert told["html"].count('<i class="full">') == 2

    played(play)


def test_a_call_that_could_not_be_sent_is_told() -> None:
    """Within seconds after the screen has said that the library is told, once."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        stage.door.show(STATES["called"])
        async with listening(stage) as stream:
            assert "Biblioteket får besked" in (await stream.event())[1]["html"]
            stage.reached = False
            assert "Beskeden kom ikke frem" in (await stream.event())[1]["html"]
            assert (await stream.event())[0] == "beat"

    played(play, beat_s=0.2)


def test_a_door_that_goes_and_comes_back() -> None:
    """It is out of order meanwhile."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        async with listening(stage) as stream:
            await stream.event()
            stage.door.go_away()
            assert (await stream.event())[1]["kind"] == "out_of_order"
            stage.door.come_back()
            assert (await stream.event())[1]["kind"] == "idle"

    played(play)


def test_too_many_screens_are_turned_away() -> None:
    """They come again later; those that listen go on, and one that goes makes room."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
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

    played(play)


def test_the_streams_end_when_the_server_is_to_stop() -> None:
    """Nobody who listens keeps the process from ending; whoever comes then is turned away."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        stream = Stream(stage)
        task = asyncio.create_task(stream.run())
        await stream.event()
        stage.panel.stop()
        async with asyncio.timeout(LIMIT_S):
            await task
        late = Stream(stage)
        await late.run()
        assert late.status == 503

    played(play)


def test_a_page_that_nobody_looks_at_asks_the_door_nothing() -> None:
    """The thread ends some looks after the last page went, and begins again with the next."""

    async def play(stage: Stage) -> None:
        """Do it on the loop."""
        async with listening(stage) as stream:
            await stream.event()
        # The thread tells nobody that it ends.
        while stage.panel.watching:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        async with listening(stage) as stream:
            assert (await stream.event())[1]["kind"] == "idle"

    played(play)
