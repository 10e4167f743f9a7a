"""The fixed log lines: one JSON object a line, with nothing in it that is not allowed.

A stdout that nobody reads blocks whoever writes to it after some 220 lines (measured), so the
callers only queue.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

import orjson
import structlog
from structlog.processors import JSONRenderer, TimeStamper, add_log_level

from doorctl.access.person_numbers import without_numbers
from doorctl.ops.line_writer import LineWriter

ALLOWED_KEYS = frozenset(
    {
        "event",
        "at",
        "level",
        "verdict",
        "reason",
        "attempt",
        "energised",
        "monotonic_ns",
        "state",
        "kind",
        "epoch",
        "result",
        "shape",
        "hint",
        "why",
        "deleted",
        "complete",
        "postponed",
        "version",
        "patrons",
        "clock",
        "cutoff",
        "dropped",
        "pid",
        "cause",
        "until",
        "minutes",
        "count",
        "by",
    }
)
"""All that a line may hold; any other key is left out, so that a mistake can't tell of a person."""

ALARM = "alarm"

LONGEST_TEXT = 500
"""Characters of one value; the rest is cut."""

BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON need not escape, but a terminal or a line reader may obey."""

WIDEST_INTEGER = 2**63

EventDict = MutableMapping[str, Any]


class JsonLog:
    """The real EventLog. Lines are in the order of their `emit` calls.

    While nobody reads, lines are kept up to a limit; those beyond it are counted, and told as
    ``{"event": "alarm", "kind": "log_dropped", "dropped": n}`` once it flows again.

    Args:
        fd: where the lines go, such as ``sys.stdout.fileno()``; stays open.
        allowed: the keys that may stand in a line.
    """

    def __init__(self, fd: int, allowed: Collection[str] = ALLOWED_KEYS) -> None:
        self._lines = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=[
                _AllowList(allowed),
                _plain,
                add_log_level,
                TimeStamper(fmt="iso", utc=True, key="at"),
                JSONRenderer(serializer=orjson.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            context_class=dict,
        ).bind()
        self._writer = LineWriter(fd, gap=self._gap)

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Queue one line; an ``alarm`` is a warning, the others are news."""
        self._writer.put(lambda: self._rendered(event, fields))

    def close(self) -> None:
        """Take no more lines and wait up to a second for the queued ones; idempotent."""
        self._writer.close()

    def _gap(self, dropped: int) -> bytes:
        return self._rendered(ALARM, {"kind": "log_dropped", "dropped": dropped})

    def _rendered(self, event: str, fields: Mapping[str, Any]) -> bytes:
        level = self._lines.warning if event == ALARM else self._lines.info
        line: bytes = level(event, **fields)
        return line


class _AllowList:
    """The first link: keys that nobody allowed are left out, whatever they hold."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed) | {"event"}

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        return {key: value for key, value in line.items() if key in self._allowed}


def _plain(_logger: object, _method: str, line: EventDict) -> EventDict:
    return {key: _plain_value(value) for key, value in line.items()}


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
