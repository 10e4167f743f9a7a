"""The door log, read-only, and filtered by outcome, reason, time and card, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from doorctl.access.throttle import A_CODE, CODES_KEY, CardThrottle
from doorctl.core.moments import ClockState
from doorctl.privacy.hold import Hold
from doorctl.store.connection import WatchedReader, translated
from doorctl.store.visit_rows import (
    COUNT_WRONG_PINS,
    HOLDS,
    MANY_WRONG_PINS,
    THROTTLE,
    HourlyHistory,
    from_ms,
    migrations,
    to_hold,
    to_ms,
    to_throttle,
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the door log; `verdict` and `reason` are None while an attempt is open.

    `attempt` only grows. `at` is the UTC time of the swipe, and `clock` says how good it is. `card`
    is the first 8 hex digits of the row key, a pseudonym; "code" for any issued code, None for an
    unreadable card.
    """

    attempt: int
    at: datetime
    clock: ClockState
    verdict: str | None
    reason: str | None
    card: str | None


PAGE_ROWS = 500
"""Rows read at a time; between two pages no transaction is open, however slow the caller."""

CARD_HEX_DIGITS = 8

_PAGE = """
    SELECT at_ms, attempt, clock, verdict, reason, row_key FROM attempts
    WHERE (at_ms, attempt) > (?, ?) ORDER BY at_ms, attempt LIMIT ?
"""


class VisitHistory:
    """Read ``visits.db`` from any process; implements `VisitReader`. One thread.

    Works while the door writes, and never blocks a purge. The file is opened at the first call and
    again when another file takes its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, "start the door, which makes one", migrations)

    def visits(self, not_before: datetime) -> Iterator[Visit]:
        """Yield attempts from a UTC time on, oldest first; those that end meanwhile may show it."""
        last = (to_ms(not_before), -1)
        while page := self._fetch(_PAGE, *last, PAGE_ROWS):
            yield from map(to_visit, page)
            last = page[-1][:2]

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""
        records = self._fetch(THROTTLE, row_key)
        return to_throttle(records[0] if records else None)

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        count: int = self._fetch(COUNT_WRONG_PINS, row_key, patron_ref)[0][0]
        return count

    def many_wrong_pins(self, least: int, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs of the `most` who have most, if they have `least` or more."""
        return dict(self._fetch(MANY_WRONG_PINS, least, most))

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""
        records = self._fetch("SELECT high_water_ms FROM clock")
        return from_ms(records[0][0]) if records else None

    def holds(self) -> tuple[Hold, ...]:
        """Return the stored holds, oldest first; the next purge deletes those that are over."""
        return tuple(map(to_hold, self._fetch(HOLDS)))

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()

    def _fetch(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with translated(self.path):
            return self._reader.current().execute(sql, parameters).fetchall()


def to_visit(record: tuple[Any, ...]) -> Visit:
    """Return the visit of a record of time, number, clock, verdict, reason and row key."""
    at_ms, attempt, clock, verdict, reason, row_key = record
    return Visit(
        attempt=attempt,
        at=from_ms(at_ms),
        clock=ClockState(clock),
        verdict=verdict,
        reason=reason,
        card=_card(row_key),
    )


def _card(row_key: bytes | None) -> str | None:
    if row_key == CODES_KEY:
        return A_CODE
    return None if row_key is None else row_key.hex()[:CARD_HEX_DIGITS]


OPEN = "open"
"""The verdict by which a filter selects attempts that are under way."""

_ROWS = "SELECT at_ms, attempt, clock, verdict, reason, row_key FROM attempts WHERE "
_MOST = 2**63 - 1
"""Above every attempt's number."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A filter of attempts: each field must fit, and None or empty fits any attempt.

    `verdict` is ``granted``, ``refused`` or :data:`OPEN`, `reasons` are fixed names of `Reason`.
    `since` is included and `until` is not; both are aware. `cards` are 16-byte row keys.
    """

    verdict: str | None = None
    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    cards: frozenset[bytes] | None = field(default=None, repr=False)

    def condition(self, not_before: datetime) -> tuple[str, tuple[object, ...]]:
        """Return the SQL after WHERE, with the values that are bound in it."""
        since = not_before if self.since is None else max(not_before, self.since)
        parts: list[tuple[str, Iterable[object]]] = [("at_ms >= ?", (to_ms(since),))]
        if self.until is not None:
            parts.append(("at_ms < ?", (to_ms(self.until),)))
        if self.verdict == OPEN:
            parts.append(("verdict IS NULL", ()))
        elif self.verdict is not None:
            parts.append(("verdict = ?", (self.verdict,)))
        if self.reasons:
            parts.append((_any("reason", len(self.reasons)), sorted(self.reasons)))
        if self.cards is not None:
            parts.append((_any("row_key", len(self.cards)), sorted(self.cards)))
        return " AND ".join(part for part, _ in parts), tuple(chain(*(bound for _, bound in parts)))


EVERY = LogFilter()


def _any(column: str, count: int) -> str:
    return f"{column} IN ({', '.join('?' * count)})"


class DoorLogRows(HourlyHistory):
    """Query ``visits.db`` and its hourly counts, read-only, from any process. One thread.

    Nothing before `not_before`, UTC, is returned.
    """

    def __init__(self, path: Path, not_before: datetime) -> None:
        super().__init__(path)
        self.not_before = not_before

    def newest(self, chosen: LogFilter, before: int | None, limit: int) -> list[Visit]:
        """Return fitting attempts with numbers below `before`, newest first."""
        bound = _MOST if before is None else before
        return self._rows(chosen, "attempt < ? ORDER BY attempt DESC LIMIT ?", bound, limit)

    def oldest(self, chosen: LogFilter, after: int, limit: int) -> list[Visit]:
        """Return fitting attempts with numbers above `after`, oldest first."""
        return self._rows(chosen, "attempt > ? ORDER BY attempt LIMIT ?", after, limit)

    def row_key(self, attempt: int) -> bytes | None:
        """Return the row key of an attempt's card; None if it has none or there is no attempt."""
        records = self._fetch(
            "SELECT row_key FROM attempts WHERE attempt = ? AND at_ms >= ?",
            (attempt, to_ms(self.not_before)),
        )
        return records[0][0] if records else None

    def counts(
        self, since: datetime, until: datetime, step_s: int
    ) -> list[tuple[datetime, int, int]]:
        """Return start, granted and refused of each step of UTC time that has attempts."""
        records = self._fetch(
            "SELECT at_ms / ?1, sum(verdict = 'granted'), sum(verdict = 'refused') FROM attempts"
            " WHERE at_ms >= ?2 AND at_ms < ?3 GROUP BY 1 ORDER BY 1",
            (step_s * 1000, to_ms(max(since, self.not_before)), to_ms(until)),
        )
        return [
            (from_ms(step * step_s * 1000), granted or 0, refused or 0)
            for step, granted, refused in records
        ]

    def _rows(self, chosen: LogFilter, place: str, *more: object) -> list[Visit]:
        condition, values = chosen.condition(self.not_before)
        statement = f"{_ROWS}{condition} AND {place}"
        return [to_visit(row) for row in self._fetch(statement, (*values, *more))]

    def _fetch(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with translated(self.path):
            return self._reader.current().execute(statement, tuple(values)).fetchall()
