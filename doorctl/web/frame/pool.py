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
"""Threads for staff, who are few; each costs memory while it works."""

MOST_WAITING: Final = 32
"""The most pages that wait for a thread; the next ones are refused for now."""


MOST_AT_ONCE: Final = 1
"""The most threads for requests before sign-in; the others are for staff."""

MOST_IN_LINE: Final = 16


class Turns:
    """A queue of requests before sign-in; belongs to the event loop.

    Strangers may send many slow requests. These have a queue of their own, so that they take no
    thread from the users who are signed in.

    `at_once` requests run at the same time, and `in_line` wait; the next ones are refused for now.
    """

    def __init__(self, at_once: int = MOST_AT_ONCE, in_line: int = MOST_IN_LINE) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + in_line
        self._here = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it while the block runs.

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
        """Run a job that may block; return its result or raise its error.

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
