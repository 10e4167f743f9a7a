"""Work that waits for a disk or another process, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from doorctl.errors import StuckError

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

THREADS: Final = 4
"""Each costs memory while it looks something up; staff are few."""

MOST_WAITING: Final = 32
"""So many pages may wait for a thread; whoever comes then is told to come again."""


class Aside:
    """A few threads; :meth:`run` belongs to the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pages")
        self._waiting = 0

    async def run(self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Return what a job returns, or raise what it raises; it may block.

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
