"""Hourly counts in ``visits.db``: they outlive the visits, and hold no number, card or person.

An attempt is counted in the transaction that closes it, so the counts are never behind the door
log; what passes the door is written once a minute. No purge touches them: an hour, a mode and an
outcome are all that was ever stored. They go with the file where it is lost or set aside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from doorctl.access.reasons import Reason
from doorctl.moments import ClockState, Moment
from doorctl.ports import ATTEMPT, OPENED, HourCount
from doorctl.store.connection import translated
from doorctl.store.watched_reader import WatchedReader

NO_HOUR = 0
"""The hour of what happened while no clock could be trusted."""

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


def create_hourly(database: sqlite3.Connection) -> None:
    """Lay out the table; without rowids, so that nothing tells which row came first."""
    database.execute("""
        CREATE TABLE hourly (
            hour INTEGER NOT NULL,
            mode TEXT NOT NULL,
            kind TEXT NOT NULL,
            outcome TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (hour, mode, kind, outcome)
        ) STRICT, WITHOUT ROWID
    """)


def count_attempt(
    connection: sqlite3.Connection, attempt: int, mode: str | None, reason: Reason
) -> None:
    """Count an attempt in the hour in which it began; in the caller's transaction.

    Args:
        connection: the door log's.
        attempt: which one; its number is not stored.
        mode: what the branch was; None counts nothing.
        reason: how it ended.
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


def add(connection: sqlite3.Connection, counts: Iterable[HourCount]) -> None:
    """Add counts to those of their hours; in the caller's transaction."""
    connection.executemany(
        _ADD, ((_to_hour(one.hour), one.mode, one.kind, one.outcome, one.count) for one in counts)
    )


class HourlyHistory:
    """Read the counts from any process, while the door writes; implements `HourlyReader`.

    One thread. The file is opened at the first call and again when another file takes its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, "start the door, which makes one")

    def hours(self, since: datetime | None, until: datetime | None) -> Iterator[HourCount]:
        """Yield the counts from a UTC time on, up to another, oldest first.

        They are read in slices, so what is counted meanwhile may be among them or not.

        Args:
            since: the hour that it lies in is the first; None for all, and for those without an
                hour as well.
            until: not included; None for no end.
        """
        until_hour = _to_hour(min(until or _END, _END))
        found: list[tuple[int, str, str, str, int]] = [(_to_hour(since), "", "", "", 0)]
        while found:
            *last, _ = found[-1]
            with translated(self.path):
                bounds = (*last, until_hour, SLICE_ROWS)
                found = self._reader.current().execute(_SLICE, bounds).fetchall()
            for hour, listed in groupby(found, _FIRST):
                at = _from_hour(hour)
                for _, mode, kind, outcome, count in listed:
                    yield HourCount(at, mode, kind, outcome, count)

    def opened_on(self, moment: Moment) -> date | None:
        """Return the latest local day on which `policy.first_card` came in; None for none lately.

        Args:
            moment: now; its zone is the branch's.
        """
        # What a clock that was ahead has dated is no day that anybody has opened. The mark that
        # an unset clock goes by is kept once an hour, of a time that has stood for another.
        ahead = _HOUR if moment.dependable else 3 * _HOUR
        around = moment.latest_known - timedelta(days=2), moment.latest_known + ahead
        hours = [one.hour for one in self.hours(*around) if one.kind == OPENED and one.hour]
        return hours[-1].astimezone(moment.local.tzinfo).date() if hours else None

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()


def _to_hour(at: datetime | None) -> int:
    return NO_HOUR if at is None else (at - _EPOCH) // _HOUR


def _from_hour(hour: int) -> datetime | None:
    return None if hour == NO_HOUR else _EPOCH + hour * _HOUR
