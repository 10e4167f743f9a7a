"""Threads for work that waits for a disk or another process, and the order of their use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, ParamSpec, TypeVar

from doorctl.core.errors import StuckError

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

THREADS: Final = 4
"""Each costs memory while it looks something up; staff are few."""

MOST_WAITING: Final = 32
"""So many pages may wait for a thread; the next ones get "come again"."""


MOST_AT_ONCE: Final = 1
"""So many threads are for requests before sign-in: the others are for staff."""

MOST_IN_LINE: Final = 16


class Turns:
    """A queue of requests before sign-in; belongs to the event loop.

    A stranger may send slow requests, as often as they like. In a queue of their own they keep no
    thread from the users who are signed in.

    `at_once` have their turn at the same time, and `in_line` wait; the next ones get "come again".
    """

    def __init__(self, at_once: int = MOST_AT_ONCE, in_line: int = MOST_IN_LINE) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + in_line
        self._here = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as this lasts.

        Raises:
            StuckError: too many wait already.
        """
        if self._here >= self._most:
            raise StuckError("too many sign in at once; try again in a moment")
        self._here += 1
        try:
            async with self._turn:
                yield
        finally:
            self._here -= 1


class Aside:
    """A few threads; :meth:`run` belongs to the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pages")
        self._waiting = 0

    async def run(self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Run a job, which may block; return what it returns, or raise what it raises.

        Raises:
            StuckError: too many wait already.
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
