"""The tables of visits: their migrations, and times as they are stored there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from doorctl.access.patron import Reason
from doorctl.access.throttle import UNANSWERED_DAYS, WRONG_PIN_DAYS, CardThrottle
from doorctl.core.errors import InputError, StoreDamagedError
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.hold import Hold
from doorctl.privacy.statistics import ATTEMPT, OPENED, HourCount
from doorctl.privacy.subject_table import VISITS
from doorctl.store.connection import Layout, WatchedReader, translated
from doorctl.store.tables import HOLDS as HOLDS_TABLE
from doorctl.store.tables import create_tables

# Each patron's wrong PINs, which no right PIN forgets; written by the door log's one writer.
#
# A row is charged before its PIN is compared and goes again unless the PIN was wrong. It holds its
# day and no more, and a patron's holds no card. The patron's number is the same at all branches.

COUNT_WRONG_PINS = "SELECT count(*) FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"
FORGET_WRONG_PINS = "DELETE FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"
TAKE_BACK_WRONG_PIN = "DELETE FROM wrong_pins WHERE attempt = ?"

MANY_WRONG_PINS = """
    SELECT patron_ref, count(*) AS wrong FROM wrong_pins WHERE patron_ref IS NOT NULL
    GROUP BY patron_ref HAVING wrong >= ? ORDER BY wrong DESC LIMIT ?
"""

_CHARGE = "INSERT INTO wrong_pins VALUES (?, date(? / 1000, 'unixepoch'), ?, ?, 0)"
_ANSWER = """
    UPDATE wrong_pins SET answered = 1 FROM wrong_pins AS right
    WHERE right.attempt = ? AND wrong_pins.patron_ref = right.patron_ref
"""
_DATE = """
    UPDATE wrong_pins SET day = date(at_ms / 1000, 'unixepoch') FROM attempts
    WHERE attempts.attempt = wrong_pins.attempt AND day <> date(at_ms / 1000, 'unixepoch')
"""
# A card that is nobody's is forgotten with its visits.
_PURGE = """
    DELETE FROM wrong_pins
    WHERE patron_ref IS NULL AND attempt NOT IN (SELECT attempt FROM attempts)
    OR day < date(:now / 1000, 'unixepoch', CASE WHEN answered THEN :answered ELSE :longest END)
"""


def charge_wrong_pin(
    connection: sqlite3.Connection, attempt: int, at_ms: int, whose: str | bytes
) -> None:
    """Count a PIN as wrong before it is compared, for a patron or for a card of no patron."""
    card, patron = (None, whose) if isinstance(whose, str) else (whose, None)
    connection.execute(_CHARGE, (attempt, at_ms, card, patron))


def settle_wrong_pin(connection: sqlite3.Connection, attempt: int, *, right: bool | None) -> None:
    """Keep the charge only if the PIN was wrong; a right PIN marks the patron's others answered."""
    if right:
        connection.execute(_ANSWER, (attempt,))
    if right is not False:
        connection.execute(TAKE_BACK_WRONG_PIN, (attempt,))


def date_wrong_pins(connection: sqlite3.Connection) -> None:
    """Give each wrong PIN its attempt's day, once that is known better."""
    connection.execute(_DATE)


def purge_wrong_pins(connection: sqlite3.Connection, now_ms: int) -> None:
    """Delete wrong PINs that no longer count, by the highest trusted time; after the visits."""
    ages = {"answered": f"-{WRONG_PIN_DAYS} days", "longest": f"-{UNANSWERED_DAYS} days"}
    connection.execute(_PURGE, {"now": now_ms, **ages})


# Hourly counts outlive the visits, and hold no number, card or person.
#
# An attempt is counted in the transaction that closes it, so the counts are never behind the door
# log; what passes the door is written once a minute. No purge touches them: an hour, a mode and an
# outcome are all that was ever stored. They go with the file where it is lost or set aside.

NO_HOUR = 0
"""Stands for the hour of counts while no clock could be trusted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_FIRST = itemgetter(0)
_END = datetime(9999, 12, 31, tzinfo=UTC)
"""Later hours are left out: at the calendar's very end no time zone can be applied."""


_COUNT_ATTEMPT = """
    INSERT INTO hourly (hour, mode, kind, outcome, count)
    SELECT CASE clock WHEN :untrusted THEN :no_hour ELSE at_ms / 3600000 END,
    :mode, :kind, :outcome, 1
    FROM attempts WHERE attempt = :attempt
    ON CONFLICT DO UPDATE SET count = count + 1
"""
_ADD = """
    INSERT INTO hourly (hour, mode, kind, outcome, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_SLICE = """
    SELECT hour, mode, kind, outcome, count FROM hourly
    WHERE (hour, mode, kind, outcome) > (?, ?, ?, ?) AND hour < ?
    ORDER BY hour, mode, kind, outcome LIMIT ?
"""
SLICE_ROWS = 2000
"""Rows that are read at once: no purge waits for a reader of years, and memory stays small."""


def count_attempt(
    connection: sqlite3.Connection, attempt: int, mode: str | None, reason: Reason
) -> None:
    """Count an attempt in the hour in which it began; in the caller's transaction.

    Its number is not stored. `mode` is the branch's; None counts nothing.
    """
    if mode is None:
        return
    values = {
        "attempt": attempt,
        "mode": mode,
        "kind": ATTEMPT,
        "outcome": reason.value,
        "untrusted": ClockState.UNTRUSTED.value,
        "no_hour": NO_HOUR,
    }
    connection.execute(_COUNT_ATTEMPT, values)


def add_counts(connection: sqlite3.Connection, counts: Iterable[HourCount]) -> None:
    """Add counts to those of their hours; in the caller's transaction."""
    connection.executemany(
        _ADD, ((_to_hour(row.hour), row.mode, row.kind, row.outcome, row.count) for row in counts)
    )


class HourlyHistory:
    """Read the hourly counts from any process, while the door writes.

    One thread. The file is opened at the first call and again when another file takes its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, "start the door, which makes one")

    def hours(self, since: datetime | None, until: datetime | None) -> Iterator[HourCount]:
        """Yield the counts from the hour of a UTC time up to before another, oldest first.

        They are read in slices, so new counts may be among them or not. With `since` None the
        counts without an hour come too; `until` None means no end.
        """
        until_hour = _to_hour(min(until or _END, _END))
        records: list[tuple[int, str, str, str, int]] = [(_to_hour(since), "", "", "", 0)]
        while records:
            *last, _ = records[-1]
            with translated(self.path):
                bounds = (*last, until_hour, SLICE_ROWS)
                records = self._reader.current().execute(_SLICE, bounds).fetchall()
            for hour, listed in groupby(records, _FIRST):
                at = _from_hour(hour)
                for _, mode, kind, outcome, count in listed:
                    yield HourCount(at, mode, kind, outcome, count)

    def opened_on(self, moment: Moment) -> date | None:
        """Return the latest day on which `policy.first_card` came in; None for none lately.

        The day is local to the zone of `moment`, which is now.
        """
        # A day written by a clock that was ahead is no day of opening. The mark that an unset clock
        # goes by is kept once an hour, of a time that has stood for another.
        ahead = _HOUR if moment.dependable else 3 * _HOUR
        around = moment.latest_known - timedelta(days=2), moment.latest_known + ahead
        hours = [count.hour for count in self.hours(*around) if count.kind == OPENED and count.hour]
        return hours[-1].astimezone(moment.local.tzinfo).date() if hours else None

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()


def _to_hour(at: datetime | None) -> int:
    return NO_HOUR if at is None else (at - _EPOCH) // _HOUR


def _from_hour(hour: int) -> datetime | None:
    return None if hour == NO_HOUR else _EPOCH + hour * _HOUR


THROTTLE = "SELECT failures, boot_id, boot_ms FROM throttles WHERE row_key = ?"

_MILLISECOND = timedelta(milliseconds=1)

migrations = Layout("visits")


@migrations()
def release_0_2(database: sqlite3.Connection) -> None:
    """Lay out all tables."""
    create_tables(database, VISITS)


def to_ms(at: datetime) -> int:
    """Return an aware time as whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the UTC time of milliseconds since 1970.

    Raises:
        StoreDamagedError: no calendar has that time.
    """
    try:
        return _EPOCH + ms * _MILLISECOND
    except OverflowError:
        raise StoreDamagedError("a stored time lies beyond the calendar") from None


def to_boot(boot_id: str | None, ms: int | None) -> BootTime | None:
    """Return the boot time of two columns, None where they are empty."""
    return None if boot_id is None or ms is None else BootTime(boot_id, ms)


def to_throttle(record: tuple[int, str | None, int | None] | None) -> CardThrottle:
    """Return the throttle of a record of :data:`THROTTLE`; no record is no failure."""
    if record is None:
        return CardThrottle()
    failures, boot_id, boot_ms = record
    return CardThrottle(failures, to_boot(boot_id, boot_ms))


# The table of holds: windows of the door log that staff have frozen until a time.

MOST_HOLDS = 20
"""Most holds at one time: more than any branch needs; it stops a script that adds one an hour."""

_COLUMNS = HOLDS_TABLE.but()

# The constant above is all that these are made of; values are always bound.
HOLDS = f"SELECT {_COLUMNS} FROM holds ORDER BY number"  # noqa: S608 -- as said
_ADD_HOLD = f"INSERT INTO holds ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_LIFT = f"DELETE FROM holds WHERE number = ? RETURNING {_COLUMNS}"  # noqa: S608


def add_hold(connection: sqlite3.Connection, hold: Hold) -> Hold:
    """Store a hold, in the caller's transaction; return it with its number.

    Raises:
        InputError: there are :data:`MOST_HOLDS` already.
    """
    (stored,) = connection.execute("SELECT count(*) FROM holds").fetchone()
    if stored >= MOST_HOLDS:
        raise InputError("there are {n} holds already; lift those that are not needed", n=stored)
    window = (to_ms(hold.since), to_ms(hold.to))
    why = (hold.case, hold.reason)
    times = (to_ms(hold.until), to_ms(hold.added_at))
    added = connection.execute(_ADD_HOLD, (*window, *why, *times, hold.by)).lastrowid
    return hold.numbered(added or 0)


def lift_hold(connection: sqlite3.Connection, number: int) -> Hold:
    """Delete a hold, in the caller's transaction, and return it.

    Raises:
        InputError: there is no such hold.
    """
    records = connection.execute(_LIFT, (number,)).fetchall()
    if not records:
        raise InputError("there is no hold {n}; list them with `doorctl hold list`", n=str(number))
    return to_hold(records[0])


def end_holds(connection: sqlite3.Connection, now_ms: int) -> None:
    """Delete the holds whose end has come, in the caller's transaction."""
    connection.execute("DELETE FROM holds WHERE until_ms <= ?", (now_ms,))


def to_hold(record: tuple[Any, ...]) -> Hold:
    """Return the hold of a record of :data:`HOLDS`."""
    number, since_ms, to_ms_, case, reason, until_ms, added_ms, by = record
    return Hold(
        number=number,
        since=from_ms(since_ms),
        to=from_ms(to_ms_),
        case=case,
        reason=reason,
        until=from_ms(until_ms),
        added_at=from_ms(added_ms),
        by=by,
    )
