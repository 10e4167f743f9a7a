"""What somebody on another machine tries at the screen's page, where that may be seen elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from doorctl.web.panel import MOST_CLIENTS, MOST_ELSEWHERE
from tests.web.listening import LIMIT_S
from tests.web.panel.screens import IDLE, Stage, showing
from tests.web.panel.test_events import Stream

CROWD = 3 * MOST_CLIENTS


@dataclass
class FarStage(Stage):
    """The page as other machines see it."""

    @property
    def app(self) -> ASGIApp:
        """The page, asked from elsewhere."""
        inner = super().app

        async def from_elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
            """Pass a request on as one of another machine."""
            await inner({**scope, "client": ("192.0.2.7", 50000)}, receive, send)

        return from_elsewhere


def test_strangers_leave_the_screen_at_the_door_its_place() -> None:
    """Many who ask at once from elsewhere get a few streams, and the screen here still gets its."""
    stage = FarStage(showing(elsewhere=True))
    stage.door.show(IDLE)

    async def play() -> None:
        """Let a crowd in, and then the screen."""
        strangers = [Stream(stage) for _ in range(CROWD)]
        here = Stage()
        here.panel, here.door = stage.panel, stage.door
        screen = Stream(here)
        everybody = [*strangers, screen]
        tasks = [asyncio.create_task(one.run()) for one in everybody]
        try:
            assert (await screen.event())[0] == "screen"
            assert [one.status for one in strangers].count(200) == MOST_ELSEWHERE
        finally:
            for one in everybody:
                one.gone.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(LIMIT_S):
                    await asyncio.gather(*tasks)

    try:
        asyncio.run(play())
    finally:
        stage.panel.stop()
