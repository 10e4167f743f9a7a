"""The door log as it happens: one look at the file for everybody who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from doorctl.errors import DoorctlError
from doorctl.ports import Visit
from doorctl.web.desks import DoorLog, LogFilter
from doorctl.web.pages.aside import Aside

LOOK_S: Final = 0.5
"""Between two looks whether the file has changed; a look costs microseconds."""

BEAT_S: Final = 10.0
"""Longest silence on a stream: a browser that hears nothing for longer asks anew."""

MOST_CLIENTS: Final = 40
KEPT: Final = 100
"""The last attempts; whoever was away for longer sees a page that is as long."""


class LiveLog:
    """Tell of attempts as they end; belongs to the event loop, except :meth:`stop`.

    Args:
        desk: the door log.
        aside: threads for reading it.
    """

    def __init__(self, desk: DoorLog, aside: Aside, look_s: float = LOOK_S) -> None:
        self._desk = desk
        self._aside = aside
        self._look_s = look_s
        self._lock = asyncio.Lock()
        self._version: int | None = None
        self._latest: tuple[Visit, ...] = ()
        self._clients = 0
        self._stopped = False

    @property
    def full(self) -> bool:
        """Whether nobody more may listen."""
        return self._clients >= MOST_CLIENTS or self._stopped

    def stop(self) -> None:
        """End every stream soon; from any thread."""
        self._stopped = True

    async def follow(self, after: int | None) -> AsyncIterator[tuple[Visit, ...]]:
        """Yield attempts that have ended, oldest first; nothing where a while has been silent.

        Args:
            after: the last attempt that is known; None for what is on record by now.
        """
        self._clients += 1
        try:
            seen = after if after is not None else max(map(_number, await self._ended()), default=0)
            silent_s = 0.0
            while not self._stopped:
                new = tuple(one for one in await self._ended() if one.attempt > seen)
                if new:
                    seen = new[-1].attempt
                if new or silent_s >= BEAT_S:
                    silent_s = 0.0
                    yield new
                await asyncio.sleep(self._look_s)
                silent_s += self._look_s
        finally:
            self._clients -= 1

    async def _ended(self) -> tuple[Visit, ...]:
        """Return the last attempts that have ended, oldest first."""
        async with self._lock:
            version = self._desk.version()
            if version != self._version:
                try:
                    page = await self._aside.run(self._desk.page, LogFilter(), limit=KEPT)
                except DoorctlError:
                    return self._latest
                # Read after the version: what comes in between is looked at again.
                self._version, self._latest = version, _over(page.visits)
        return self._latest


def _over(newest_first: tuple[Visit, ...]) -> tuple[Visit, ...]:
    """Return those that are over: a card that is swiped ends the attempt before."""
    last = newest_first[0].attempt if newest_first else 0
    return tuple(
        one for one in reversed(newest_first) if one.verdict is not None or one.attempt < last
    )


def _number(visit: Visit) -> int:
    return visit.attempt
