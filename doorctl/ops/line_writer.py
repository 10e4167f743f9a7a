"""Lines on their way to a file descriptor: whoever queues them never waits for the reader."""

from __future__ import annotations

import os
import queue
import select
from collections.abc import Callable
from threading import RLock, Thread

QUEUED_LINES = 1000
"""Lines kept while nobody reads: a busy evening's, 0.7 MB at the longest."""

CLOSE_S = 1.0
"""The longest that :meth:`LineWriter.close` waits for what is queued."""


class LineWriter:
    """A bounded queue and the thread that empties it in order. Thread-safe, never raises.

    What does not fit is counted, and told once half of the queue is free again or at the end.
    What a closed pipe or a full disk refuses is lost.

    Args:
        fd: a file descriptor; stays open.
        gap: makes the line that tells how many did not fit.
    """

    def __init__(self, fd: int, gap: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._gap = gap
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Re-entrant, because a signal handler may log while the main thread is logging.
        self._lock = RLock()
        self._dropped = 0
        self._closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, make: Callable[[], bytes]) -> None:
        """Make a line (without its end) and queue it, as one step; or count it unmade."""
        with self._lock:
            if self._closed:
                return
            self._tell_gap()
            # A gap that is not told yet goes on, else its alarm would come too late.
            if self._dropped or self._queue.qsize() >= QUEUED_LINES:
                self._dropped += 1
            else:
                self._queue.put(make())

    def close(self) -> None:
        """Take no more lines and wait a little until the queue is written; idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(CLOSE_S)

    def _tell_gap(self) -> None:
        if self._dropped and self._queue.qsize() <= QUEUED_LINES // 2:
            dropped, self._dropped = self._dropped, 0
            self._queue.put(self._gap(dropped))

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            self._write(line + b"\n")
            with self._lock:
                if not self._closed:
                    self._tell_gap()
        if self._dropped:
            self._write(self._gap(self._dropped) + b"\n")

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                self._await_reader()
            except OSError:
                return

    def _await_reader(self) -> None:
        # A terminal or pipe that another process has set to non-blocking.
        writable = select.poll()
        writable.register(self._fd, select.POLLOUT)
        writable.poll()
