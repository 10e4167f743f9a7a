"""One look at the door log for all who watch it: asked only while somebody does.

Whoever watches keeps a place in the news and is given what came after it. Nothing is kept for one
who is slow: the news of the last attempts are, and who falls behind them has to begin anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from doorctl.errors import DoorctlError
from doorctl.ports import Visit
from doorctl.web.desks import DoorLog
from doorctl.web.pages.aside import Aside

EVERY_S: Final = 0.5
"""Between two looks whether anything was written; a look costs microseconds."""

KEPT: Final = 256
"""News; more than a busy hour brings."""

BACK: Final = 20
"""So far back from the newest an attempt may still be under way; one at a time is usual."""


AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class News:
    """An attempt that is new, or that has ended.

    Args:
        place: in the order of all news since the start.
        visit: as it is now.
    """

    place: int
    visit: Visit


class FellBehindError(Exception):
    """Somebody watches too slowly; what they have missed is in the door log, not here."""


class LogWatch:
    """Belongs to the event loop, except `stop`, which is anybody's, a signal handler's too.

    Args:
        desk: the door log.
        aside: threads for what waits.
        every_s: between two looks.
    """

    def __init__(self, desk: DoorLog, aside: Aside, every_s: float = EVERY_S) -> None:
        self._desk = desk
        self._aside = aside
        self._every_s = every_s
        self._news: deque[News] = deque(maxlen=KEPT)
        self._known: dict[int, str | None] = {}
        self._place = 0
        self._told = asyncio.Event()
        self._begun = asyncio.Event()
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False

    @property
    def running(self) -> bool:
        """Whether the door log is looked at."""
        return self._task is not None

    @property
    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep looking for as long as this lasts."""
        self._watchers += 1
        if self._task is None:
            self._known.clear()
            self._begun.clear()
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def begin(self, limit_s: float) -> int:
        """Return the place of the last news, once the door log has been looked at.

        Raises:
            TimeoutError: it could not be read in time.
        """
        async with asyncio.timeout(limit_s):
            await self._begun.wait()
        return self._place

    async def after(self, place: int, limit_s: float) -> tuple[News, ...]:
        """Return the news after a place, once there are any; none after so many seconds.

        Raises:
            FellBehindError: news after that place are gone.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._place <= place and not self._ending:
                    await self._told.wait()
        found = tuple(one for one in self._news if one.place > place)
        if self._place - place > len(found):
            raise FellBehindError
        return found

    def stop(self) -> None:
        """Look no more; whoever waits is told at once."""
        self._ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def _run(self) -> None:
        version: int | None = None
        while True:
            seen = self._desk.version()
            if seen != version:
                # A door log that can't be read now is asked again; the streams go on.
                with suppress(DoorctlError):
                    version = seen if await self._look() else None
            await asyncio.sleep(self._every_s)

    async def _look(self) -> bool:
        newest = (
            max(self._known) if self._begun.is_set() else await self._aside.run(self._desk.last)
        )
        found = await self._aside.run(self._desk.after, max(0, newest - BACK), AT_ONCE)
        if self._begun.is_set():
            self._tell([one for one in found if self._is_news(one)])
        elsewhere = newest if found or newest == 0 else await self._aside.run(self._desk.last)
        self._known = {one.attempt: one.verdict for one in found} or {elsewhere: None}
        self._begun.set()
        return len(found) < AT_ONCE

    def _is_news(self, visit: Visit) -> bool:
        if visit.attempt in self._known:
            return self._known[visit.attempt] != visit.verdict
        return visit.attempt > max(self._known)

    def _tell(self, fresh: list[Visit]) -> None:
        if not fresh:
            return
        for visit in fresh:
            self._place += 1
            self._news.append(News(self._place, visit))
        self._wake()

    def _wake(self) -> None:
        # Whoever waits is woken and looks for itself; who comes later waits for the next.
        self._told.set()
        self._told = asyncio.Event()
