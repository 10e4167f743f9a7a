"""The threads that pages wait in, and the queue of requests before sign-in."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from doorctl.accounts.throttle import caller
from doorctl.core.errors import StuckError

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

THREADS: Final = 4
"""Threads for staff, who are few; each costs memory while it works."""

MOST_WAITING: Final = 32
"""The most pages that wait for a thread; the next ones are refused for now."""

MOST_AT_ONCE: Final = 1
"""The most threads for requests before sign-in; the others are for staff."""

MOST_IN_LINE: Final = 64
"""How many more wait; then the last in the queue's order is refused for now."""

MOST_SERVED: Final = 4096
"""The most addresses whose last turn is remembered."""


@dataclass(eq=False, slots=True)
class _Waiting:
    host: str
    came: int
    turn: asyncio.Future[None]


class SignInQueue:
    """A queue of requests before sign-in; belongs to the event loop.

    It keeps threads free for signed-in users, however many slow requests come from strangers. An
    address that never had a turn comes first, then the one whose last turn is longest ago. So a
    flood, from any number of addresses, waits behind everybody else. A full queue refuses the last
    in that order: of one address's requests, the newest.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._busy = self._came = self._turns = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    @asynccontextmanager
    async def slot(self, address: str = "") -> AsyncIterator[None]:
        """Wait for a turn, and keep it while the block runs.

        Raises StuckError: too many wait already.
        """
        await self._come(caller(address))
        try:
            yield
        finally:
            self._end()

    async def _come(self, host: str) -> None:
        if self._busy < MOST_AT_ONCE:
            self._begin(host)
            return
        self._came += 1
        own = _Waiting(host, self._came, asyncio.get_running_loop().create_future())
        self._waiting.append(own)
        if len(self._waiting) > MOST_IN_LINE:
            last = max(self._waiting, key=self._place)
            self._waiting.remove(last)
            last.turn.set_exception(StuckError("too many sign in at once; try again in a moment"))
        try:
            await own.turn
        except asyncio.CancelledError:
            if own in self._waiting:
                self._waiting.remove(own)
            elif not own.turn.cancelled():
                self._end()
            raise

    def _place(self, waiting: _Waiting) -> tuple[int, int, int]:
        """Return what puts one behind others: its address's last turn, and its address's others."""
        before = sum(
            other.host == waiting.host and other.came < waiting.came for other in self._waiting
        )
        return self._last.get(waiting.host, 0), before, waiting.came

    def _begin(self, host: str) -> None:
        self._busy += 1
        self._turns += 1
        self._last[host] = self._turns
        self._last.move_to_end(host)
        if len(self._last) > MOST_SERVED:
            self._last.popitem(last=False)

    def _end(self) -> None:
        self._busy -= 1
        there = [waiting for waiting in self._waiting if not waiting.turn.done()]
        if there:
            first = min(there, key=self._place)
            self._waiting.remove(first)
            self._begin(first.host)
            first.turn.set_result(None)


class PagePool:
    """A few threads for jobs that wait; :meth:`run` belongs to the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pages")
        self._waiting = 0

    async def run(self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Run a job that may block; return its result or raise its error.

        Raises StuckError: too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise StuckError("too many pages are asked for at once; try again in a moment")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: job(*args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads once their jobs are done."""
        self._threads.shutdown(cancel_futures=True)
