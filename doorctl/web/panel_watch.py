"""One look at the door for all who look at the page: a thread waits, the event loop tells.

The thread runs only while somebody looks, and a while longer, so that a branch without a screen
asks its door nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from doorctl.access.panel import PanelState
from doorctl.errors import DoorctlError
from doorctl.ports import PanelDoor, PanelView

FIRST_LOOK_S: Final = 2.0
"""Longest wait of a page for the first view; a door that hangs is out of order."""

RETRY_S: Final = 1.0
"""Between two questions to a door that does not answer."""

STOP_LOOK_S: Final = 1.0
"""How often the thread looks whether the event loop it tells is being ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen last.

    Args:
        number: another one after each change; 0 where there was no look in time.
        state: None where the door does not answer.
    """

    number: int = 0
    state: PanelState | None = None


class Watch:
    """Belongs to the event loop, except `stop`, which is anybody's, a signal handler's too.

    Args:
        door: is asked, by one thread at a time.
        retry_s: pause after a question that was not answered.
    """

    def __init__(self, door: PanelDoor, retry_s: float = RETRY_S) -> None:
        self._door = door
        self._retry_s = retry_s
        self._seen: Seen | None = None
        self._number = 0
        self._news: set[asyncio.Event] = set()
        self._watchers = 0
        self._looked_at = False
        self._running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the thread asks the door."""
        return self._running

    @property
    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending.is_set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep looking for as long as this lasts."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def now(self) -> Seen:
        """Return what is shown now."""
        return await self.after(0, FIRST_LOOK_S)

    async def after(self, number: int, limit_s: float) -> Seen:
        """Return what is shown once its number is another; the same after so many seconds."""
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
        return self._seen or Seen()

    def stop(self) -> None:
        """Look no more; whoever waits is told at once."""
        self._ending.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _look(self) -> None:
        self._looked_at = True
        self._loop = asyncio.get_running_loop()
        if self._running or self.ending:
            return
        self._running = True
        # What was seen before nobody looked is old.
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
                self._ending.wait(self._retry_s)

    def _ask(self, after: int) -> PanelView | None:
        try:
            return self._door.look(after)
        except DoorctlError:
            return None

    def _heard_by(self, loop: asyncio.AbstractEventLoop, state: PanelState | None) -> bool:
        wanted: Future[bool] = Future()
        try:
            loop.call_soon_threadsafe(lambda: wanted.set_result(self._heard(state)))
        except RuntimeError:
            # A loop that is closed takes nothing, and nobody looks any more.
            self._running = False
            return False
        while not self.ending:
            with suppress(TimeoutError):
                return wanted.result(STOP_LOOK_S)
        return False

    def _heard(self, state: PanelState | None) -> bool:
        if self._seen is None or state != self._seen.state:
            self._number += 1
            self._seen = Seen(self._number, state)
            self._tell()
        self._running = self._watchers > 0 or self._looked_at
        self._looked_at = False
        return self._running

    def _tell(self) -> None:
        for news in self._news:
            news.set()
