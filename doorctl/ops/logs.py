"""The fixed log lines: one JSON object a line, with allowed keys only.

A stdout that nobody reads blocks its writer after some 220 lines (measured), so the callers only
queue.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import select
from collections.abc import Mapping
from threading import RLock, Thread
from typing import Any

import orjson
import structlog
from structlog.processors import JSONRenderer, TimeStamper, add_log_level

from doorctl.core.texts import without_numbers

ALARM = "alarm"

QUEUED_LINES = 1000
"""Lines kept while nobody reads: a busy evening's, 0.7 MB at the longest."""

CLOSE_S = 1.0
"""The longest that :meth:`JsonLog.close` waits for what is queued."""

ALLOWED_KEYS = frozenset(
    {
        *("event", "at", "level", "state", "kind", "why", "hint", "count", "by", "pid", "version"),
        *("verdict", "reason", "attempt", "energised", "monotonic_ns", "shape"),
        *("epoch", "result", "patrons", "clock", "deleted", "complete", "postponed", "cutoff"),
        *("cause", "until", "minutes", "dropped", "cards"),
    }
)
"""Keys that a line may hold; others are left out, so that a mistake can't show a person."""

LONGEST_TEXT = 500
"""Characters of one value; the rest is cut."""

BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON need not escape, but that a terminal or a line reader may obey."""

WIDEST_INTEGER = 2**63


class JsonLog:
    """The real EventLog. Lines are in the order of their `emit` calls; `fd` stays open.

    A thread writes what is queued. While nobody reads, lines are kept up to a limit; those beyond
    it are counted, and reported as ``{"event": "alarm", "kind": "log_dropped", "dropped": n}`` once
    half of the queue is free again or at the end. Lines that a closed pipe or a full disk refuses
    are lost.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=[
                _plain,
                add_log_level,
                TimeStamper(fmt="iso", utc=True, key="at"),
                JSONRenderer(serializer=orjson.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            context_class=dict,
        ).bind()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Re-entrant, because a signal handler may log while the main thread is logging.
        self._lock = RLock()
        self._dropped = 0
        self._closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Queue one line; an ``alarm`` is a warning, all others are info."""
        with self._lock:
            if self._closed:
                return
            self._tell_gap()
            # A gap that is not reported yet goes on, else its alarm would come too late.
            if self._dropped or self._queue.qsize() >= QUEUED_LINES:
                self._dropped += 1
            else:
                self._queue.put(self._rendered(event, fields))

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

    def _gap(self, dropped: int) -> bytes:
        return self._rendered(ALARM, {"kind": "log_dropped", "dropped": dropped})

    def _rendered(self, event: str, fields: Mapping[str, Any]) -> bytes:
        level = self._lines.warning if event == ALARM else self._lines.info
        line: bytes = level(event, **fields)
        return line

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


def _plain(_logger: object, _method: str, line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain_value(value) for key, value in line.items() if key in ALLOWED_KEYS}


def _plain_value(value: object) -> str | float | bool | None:
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, int) and abs(value) >= WIDEST_INTEGER:
        return "<int>"
    if value is None or isinstance(value, bool | int | float):
        return value
    return f"<{type(value).__name__}>"


def _plain_text(text: str) -> str:
    scrubbed = without_numbers(text, "[scrubbed]")
    encodable = scrubbed[:LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
    return BREAKS.sub("\N{REPLACEMENT CHARACTER}", encodable)
