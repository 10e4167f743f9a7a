"""The door log, read-only, and filtered by outcome, reason, time and card, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from doorctl.access.code_throttle import A_CODE, CODES_KEY
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.errors import StoreDamagedError
from doorctl.core.moments import BootTime, CarriedTime, ClockState, KeptReadings
from doorctl.privacy.holds import Hold
from doorctl.privacy.tables import CARD, VISITS, Column, Shown
from doorctl.store.hourly import BEGINNING, END, HourlyHistory
from doorctl.store.layout import Layout, releases
from doorctl.store.tables import (
    ATTEMPTS,
    CARRIED_TIME,
    CLOCK_READINGS,
    from_ms,
    maybe,
    select,
    to_ms,
    whole,
)
from doorctl.store.tables import HOLDS as HOLDS_TABLE
from doorctl.store.wrong_pins import (
    COUNT_WRONG_PINS,
    COUNT_WRONG_PINS_BY,
    MANY_WRONG_PINS,
    READER,
    THROTTLE,
    at_card,
    to_bucket,
    to_throttle,
)

migrations = Layout("visits", releases(VISITS, (0, 2), (0, 3)))

_READINGS = select(f"{whole(CLOCK_READINGS)}, {CLOCK_READINGS.but('only')}", "clock_readings")


def _to_readings(record: Sequence[Any]) -> KeptReadings:
    boot_id, accepted_ms, accepted_boot_ms, doubt_ms, doubt_boot_ms, *spans_ms = record
    accepted = from_ms(accepted_ms), _span(accepted_boot_ms)
    doubt = None if doubt_ms is None else (from_ms(doubt_ms), _span(doubt_boot_ms))
    doubted_at, leap = (maybe(_span, ms) for ms in spans_ms)
    return KeptReadings(boot_id, accepted, doubt, doubted_at, leap)


def _span(ms: int) -> timedelta:
    return timedelta(milliseconds=ms)


_CARRIED = CARRIED_TIME.but("only")
CARRIED = select(_CARRIED, f"carried_time WHERE {whole(CARRIED_TIME)}")


def to_carried(record: Sequence[Any]) -> CarriedTime:
    """Return the carried time of a record of :data:`CARRIED`."""
    believed_ms, carried_ms, boot_id, boot_ms = record
    return CarriedTime(from_ms(believed_ms), from_ms(carried_ms), BootTime(boot_id, boot_ms))


HOLD_COLUMNS = HOLDS_TABLE.but()

# The constant above is all that these are made of; values are always bound.
HOLDS = f"SELECT {HOLD_COLUMNS} FROM holds ORDER BY number"  # noqa: S608 -- as said

HELD = "EXISTS (SELECT 1 FROM holds WHERE at_ms >= since_ms AND at_ms < to_ms)"
"""Whether staff have put a hold on the time of a row of ``attempts`` or ``canaries``."""


def to_hold(record: tuple[Any, ...]) -> Hold:
    """Return the hold of a record of :data:`HOLDS`."""
    number, since_ms, to_ms_, case, reason, until_ms, added_ms, by = record
    since, to, until, added_at = map(from_ms, (since_ms, to_ms_, until_ms, added_ms))
    return Hold(since, to, case, reason, until, by, number, added_at)


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the door log as everything shows it; a field is read from the column of its name.

    `attempt` only grows. `at` is the UTC time of the swipe, and `clock` says how good it is;
    `verdict` and `reason` are None while the attempt is open. `card` is the first 8 hex digits of
    the row key, a pseudonym; "code" for any issued code, None for an unreadable card.
    """

    attempt: int
    at: datetime
    clock: ClockState
    verdict: str | None
    reason: str | None
    card: str | None


STORED_AS: Mapping[str, str] = MappingProxyType({"at": "at_ms", "card": CARD})
"""The fields of a visit that have another name than their column."""

VISIT_COLUMNS: Mapping[str, Column] = MappingProxyType(
    {field.name: ATTEMPTS.column(STORED_AS.get(field.name, field.name)) for field in fields(Visit)}
)
"""Each field of a visit, in its order, with the column that it is read from."""


@dataclass(frozen=True, slots=True)
class DoorEvent:
    """What the door did without a card, or had done to it, at a UTC time.

    `kind` is an alarm's or one of `doorctl.doord.stores`, `why` the state, the push's number or
    staff's own words, and `by` the account of staff; both are empty where there is none. `cause` is
    why staff set a mode; the door's file does not hold it.
    """

    at: datetime
    clock: ClockState
    kind: str
    why: str = ""
    by: str = ""
    cause: str = field(default="", repr=False)


PAGE_ROWS = 500
"""Rows read at a time; between two pages no transaction is open, however slow the caller."""

CARD_HEX_DIGITS = 8

_ROWS = select(", ".join(column.name for column in VISIT_COLUMNS.values()), "attempts WHERE ")
_PAGE = f"{_ROWS}(at_ms, attempt) > (?, ?) ORDER BY at_ms, attempt LIMIT ?"


class VisitHistory(HourlyHistory):
    """Read ``visits.db`` in any process, while the door writes; one thread. It blocks no purge."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, migrations)

    def visits(self, not_before: datetime) -> Iterator[Visit]:
        """Yield attempts from a UTC time on, oldest first; those that end meanwhile may show it."""
        last = (to_ms(not_before), -1)
        while page := self._fetch(_PAGE, *last, PAGE_ROWS):
            visits = list(map(_to_visit, page))
            yield from visits
            last = (to_ms(visits[-1].at), visits[-1].attempt)

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""
        records = self._fetch(THROTTLE, row_key)
        return to_throttle(records[0] if records else None)

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        count: int = self._fetch(COUNT_WRONG_PINS, row_key, patron_ref)[0][0]
        return count

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""
        return to_bucket(self._fetch(READER))

    def wrong_pins_by(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many of these were typed at that card, or it is not known at which."""
        count: int = self._fetch(COUNT_WRONG_PINS_BY, row_key, patron_ref, at_card(row_key))[0][0]
        return count

    def many_wrong_pins(self, least: int, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs of the `most` who have most, if they have `least` or more."""
        return dict(self._fetch(MANY_WRONG_PINS, least, most))

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""
        records = self._fetch("SELECT high_water_ms FROM clock")
        return from_ms(records[0][0]) if records else None

    def clock_readings(self) -> KeptReadings | None:
        """Return what the door knew of the clock; None where it has stored nothing.

        Raises StoreDamagedError where a bit of it is wrong, else as the other calls.
        """
        for is_whole, *record in self._fetch(_READINGS):
            if not is_whole:
                raise StoreDamagedError(f"{self.path} is damaged: a doubt of the clock may be lost")
            return _to_readings(record)
        return None

    def carried_time(self) -> CarriedTime | None:
        """Return the carried time; None where none is stored whole: then the mark is believed."""
        return next(map(to_carried, self._fetch(CARRIED)), None)

    def holds(self) -> tuple[Hold, ...]:
        """Return the stored holds, oldest first; the next purge deletes those that are over."""
        return tuple(map(to_hold, self._fetch(HOLDS)))


def _card(row_key: bytes) -> str:
    return A_CODE if row_key == CODES_KEY else row_key.hex()[:CARD_HEX_DIGITS]


_READ_AS: Mapping[str, Callable[[Any], Any]] = {"clock": cache(ClockState), "card": _card}
_BY_SHOWN: Mapping[Shown, Callable[[Any], Any]] = {Shown.TIME: from_ms, Shown.FLAG: bool}
_READ = [_READ_AS.get(name) or _BY_SHOWN.get(each.shown) for name, each in VISIT_COLUMNS.items()]
_READ_AT = [(at, read) for at, read in enumerate(_READ) if read]


def _to_visit(record: Iterable[Any]) -> Visit:
    values = list(record)
    for at, read in _READ_AT:
        if (stored := values[at]) is not None:
            values[at] = read(stored)
    return Visit(*values)


OPEN = "open"
"""The verdict by which a filter selects attempts that are under way."""

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
    since: datetime = BEGINNING
    until: datetime = END
    cards: frozenset[bytes] | None = field(default=None, repr=False)

    @property
    def narrows(self) -> bool:
        """Whether it chooses among the attempts of its time."""
        return bool(self.verdict or self.reasons or self.cards)

    def condition(self, not_before: datetime) -> tuple[str, tuple[object, ...]]:
        """Return the SQL after WHERE, with the values that are bound in it."""
        span = to_ms(max(not_before, self.since)), to_ms(self.until)
        parts: list[tuple[str, Iterable[object]]] = [("at_ms >= ? AND at_ms < ?", span)]
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


class Slot(NamedTuple):
    """Attempts in a step of time, by outcome; those under way are neither."""

    starts: datetime
    granted: int
    refused: int


_MS = timedelta(milliseconds=1)

_COUNTS = """
    SELECT at_ms / ?, sum(verdict = 'granted'), sum(verdict = 'refused') FROM attempts WHERE
"""

_EVENTS = """
    SELECT at_ms, clock, kind, why, by FROM events WHERE at_ms >= ? AND at_ms < ?
    ORDER BY at_ms DESC, number DESC LIMIT ?
"""


def _any(column: str, count: int) -> str:
    return f"{column} IN ({', '.join('?' * count)})"


class DoorLogRows(HourlyHistory):
    """Query ``visits.db`` and its hourly counts from `not_before`, UTC, on; one thread."""

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
            attempt,
            to_ms(self.not_before),
        )
        return records[0][0] if records else None

    def events(self, since: datetime, until: datetime, limit: int) -> list[DoorEvent]:
        """Return what happened from a UTC time up to before another, newest first."""
        span = to_ms(max(since, self.not_before)), to_ms(until)
        return [
            DoorEvent(from_ms(at_ms), ClockState(clock), *texts)
            for at_ms, clock, *texts in self._fetch(_EVENTS, *span, limit)
        ]

    def counts(self, chosen: LogFilter, step: timedelta) -> list[Slot]:
        """Return each step of UTC time, of whole seconds, that has fitting attempts."""
        condition, values = chosen.condition(self.not_before)
        statement, step_ms = f"{_COUNTS}{condition} GROUP BY 1 ORDER BY 1", step // _MS
        return [
            Slot(from_ms(number * step_ms), granted or 0, refused or 0)
            for number, granted, refused in self._fetch(statement, step_ms, *values)
        ]

    def _rows(self, chosen: LogFilter, place: str, *more: object) -> list[Visit]:
        condition, values = chosen.condition(self.not_before)
        statement = f"{_ROWS}{condition} AND {place}"
        return [_to_visit(row) for row in self._fetch(statement, *values, *more)]
