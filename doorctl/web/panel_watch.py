"""One look at the door for all screens: a thread waits for news and sends it to the event loop.

It runs only while a page is open, and a while longer, so a branch without a screen never polls its
door.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from doorctl.access.panel import PanelState, PanelView
from doorctl.core.errors import DoorctlError
from doorctl.rpc.panel import PanelOverSocket

FIRST_LOOK_S: Final = 2.0
"""Longest wait of a page for the first view; a door that hangs is out of order."""

RETRY_S: Final = 1.0
"""Time between two requests to a door that does not answer."""

STOP_LOOK_S: Final = 1.0
"""How often the thread checks whether its event loop is being ended."""


@dataclass(frozen=True, slots=True)
class NumberedView:
    """The last state with its number; `state` is None where the door does not answer.

    `number` changes with it; 0 where there was no look in time.
    """

    number: int = 0
    state: PanelState | None = None

    @property
    def attempt(self) -> int:
        """The number of the attempt that is shown; 0 for none."""
        return 0 if self.state is None else self.state.attempt


@dataclass(eq=False)
class Watch:
    """Watches what the door shows; belongs to the event loop.

    Any thread or signal handler may call `stop`. One thread at a time sends requests to `door`;
    while it does, `running` is true.
    """

    door: PanelOverSocket

    def __post_init__(self) -> None:
        self._seen: NumberedView | None = None
        self._number = 0
        self._news: set[asyncio.Event] = set()
        self._watchers = 0
        self._looked_at = False
        self.running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()

    @property
    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending.is_set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep watching while the block runs."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def now(self) -> NumberedView:
        """Return the view as it is now."""
        return await self.after(0, FIRST_LOOK_S)

    async def after(self, number: int, limit_s: float) -> NumberedView:
        """Return the view once its number is not `number`; the same view after `limit_s`."""
        self._look()
        news = asyncio.Event()
        self._news.add(news)
        try:
            async with asyncio.timeout(limit_s):
                while not self.ending and (self._seen is None or self._seen.number == number):
                    await news.wait()
                    news.clear()
        except TimeoutError:
            pass
        finally:
            self._news.discard(news)
        return self._seen or NumberedView()

    def stop(self) -> None:
        """Stop watching; every page that waits gets its answer at once."""
        self._ending.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _look(self) -> None:
        self._looked_at = True
        self._loop = asyncio.get_running_loop()
        if self.running or self.ending:
            return
        self.running = True
        # A view from before the pause is old.
        self._seen = None
        threading.Thread(
            target=self._run, args=(self._loop,), name="panel-watch", daemon=True
        ).start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        view, wanted = None, True
        while wanted and not self.ending:
            view = self._ask(0 if view is None else view.seq)
            wanted = self._heard_by(loop, None if view is None else view.state)
            if view is None:
                self._ending.wait(RETRY_S)

    def _ask(self, after: int) -> PanelView | None:
        try:
            return self.door.look(after)
        except DoorctlError:
            return None

    def _heard_by(self, loop: asyncio.AbstractEventLoop, state: PanelState | None) -> bool:
        wanted: Future[bool] = Future()
        try:
            loop.call_soon_threadsafe(lambda: wanted.set_result(self._heard(state)))
        except RuntimeError:
            # A closed loop takes nothing, and no screen is open any more.
            self.running = False
            return False
        while not self.ending:
            with suppress(TimeoutError):
                return wanted.result(STOP_LOOK_S)
        return False

    def _heard(self, state: PanelState | None) -> bool:
        if self._seen is None or state != self._seen.state:
            self._number += 1
            self._seen = NumberedView(self._number, state)
            self._tell()
        self.running = self._watchers > 0 or self._looked_at
        self._looked_at = False
        return self.running

    def _tell(self) -> None:
        for news in self._news:
            news.set()
