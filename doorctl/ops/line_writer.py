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

    What does not fit is counted. What a closed pipe or a full disk refuses is lost.

    Args:
        fd: a file descriptor; stays open.
        idle: called from the writer's thread when all is written and some lines had not fitted.
    """

    def __init__(self, fd: int, idle: Callable[[], None]) -> None:
        self._fd = fd
        self._idle = idle
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Re-entrant, because a signal handler may log while the main thread is logging.
        self._lock = RLock()
        self._dropped = 0
        self._closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line without its end, or count it."""
        with self._lock:
            if self._closed:
                return
            if self._queue.qsize() < QUEUED_LINES:
                self._queue.put(line)
            else:
                self._dropped += 1

    def take_dropped(self) -> int:
        """Return how many lines did not fit since it was last told, 0 while it is still crowded."""
        with self._lock:
            if self._queue.qsize() > QUEUED_LINES // 2:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def close(self) -> None:
        """Take no more lines and wait a little until the queue is written; idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            self._write(line + b"\n")
            if self._dropped and self._queue.empty():
                self._idle()

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
