"""A time limit for one request: over name lookup, connection, TLS and each byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")

GRACE_S = 1.0
"""How long beyond the limit the caller waits for the cancelled work to end."""

CLOSE_S = 2.0
"""How long `close` waits: a name lookup that hangs can't be ended."""


class TimeLimit:
    """Run a coroutine for a limited time. Thread-safe; requests run beside each other.

    A socket's own time-out is for each read, so a server that sends a byte now and then would keep
    it waiting for ever, and a name lookup has none. So all runs on one event loop in a thread of
    its own, which is started by the first request. `limit_s` is for each request.
    """

    def __init__(self, limit_s: float, name: str) -> None:
        self._limit_s = limit_s
        self._name = name
        self._starting = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return or raise what `work` does.

        Raises:
            TimeoutError: the limit was reached, or `close` was called; `work` was cancelled.
        """

        async def limited() -> T:
            async with asyncio.timeout(self._limit_s):
                return await work()

        future = asyncio.run_coroutine_threadsafe(limited(), self._running())
        try:
            return future.result(self._limit_s + GRACE_S)
        except CancelledError:
            raise TimeoutError from None
        finally:
            future.cancel()

    def close(self) -> None:
        """End the thread and all that still runs in it; idempotent."""
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSE_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(
                    target=_serve, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
