"""Hourly counts, read-only: they outlive the visits, and hold no number, card or person.

An attempt is counted in the transaction that closes it, so the counts are never behind the door
log; what passes the door is written once a minute. No purge touches them: an hour, a mode and an
outcome are all that was ever stored. They go with the file where it is lost or set aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from doorctl.core.moments import Moment
from doorctl.privacy.passages import OPENED, HourCount
from doorctl.store.layout import Layout
from doorctl.store.reader import WatchedReader
from doorctl.store.tables import (
    from_ms,
    to_ms,
)

NO_HOUR = 0
"""Stands for the hour of counts while no clock could be trusted."""

_HOUR = timedelta(hours=1)

_HOUR_MS = 3_600_000

_FIRST = itemgetter(0)

BEGINNING, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""Later hours are left out: at the calendar's very end no time zone can be applied."""

_SLICE = """
    SELECT hour, mode, kind, outcome, count FROM hourly
    WHERE (hour, mode, kind, outcome) > (?, ?, ?, ?) AND hour < ?
    ORDER BY hour, mode, kind, outcome LIMIT ?
"""

_TOTALS = "SELECT count(*), ifnull(sum(count), 0) FROM hourly WHERE hour >= ? AND hour < ?"

_LAST_ATTEMPT = """
    SELECT hour FROM hourly WHERE hour > ? AND hour < ? AND kind = 'attempt'
    ORDER BY hour DESC LIMIT 1
"""

SLICE_ROWS = 500
"""Rows that are read at once: no purge waits for a reader of years, and memory stays small."""


class HourlyHistory:
    """Read the hourly counts, in any process and while the door writes; one thread."""

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.path = path
        self._reader = WatchedReader(path, "start the door, which makes one", layout)
        self._fetch = self._reader.fetch

    def hours(self, since: datetime | None, until: datetime | None) -> Iterator[HourCount]:
        """Yield the counts from the hour of a UTC time up to before another, oldest first.

        They are read in slices, so new counts may be among them or not. With `since` None the
        counts without an hour come too; `until` None means no end.
        """
        until_hour = to_hour(min(until or END, END))
        records: list[tuple[int, str, str, str, int]] = [(to_hour(since), "", "", "", 0)]
        while records:
            *last, _ = records[-1]
            records = self._fetch(_SLICE, *last, until_hour, SLICE_ROWS)
            for hour, listed in groupby(records, _FIRST):
                at = None if hour == NO_HOUR else from_ms(hour * _HOUR_MS)
                for _, mode, kind, outcome, count in listed:
                    yield HourCount(at, mode, kind, outcome, count)

    def totals(self, since: datetime | None, until: datetime) -> tuple[int, int]:
        """Return the number of those counts, and their sum: it tells whether any was added."""
        return self._fetch(_TOTALS, to_hour(since), to_hour(until))[0]

    def last_tried(self, before: datetime) -> datetime | None:
        """Return the last hour before that of a UTC time in which a card was read, None for none.

        It is the hour's beginning, and looks at no more than the hours since.
        """
        found = self._fetch(_LAST_ATTEMPT, NO_HOUR, to_hour(before))
        return from_ms(found[0][0] * _HOUR_MS) if found else None

    def opened_on(self, moment: Moment) -> date | None:
        """Return the last local day on which `policy.first_card` came in; None for none lately."""
        # A day written by a clock that was ahead is no day of opening. The mark that an unset clock
        # goes by is kept once an hour, of a time that has stood for another.
        ahead = _HOUR if moment.dependable else 3 * _HOUR
        around = moment.latest_known - timedelta(days=2), moment.latest_known + ahead
        hours = [count.hour for count in self.hours(*around) if count.kind == OPENED and count.hour]
        return hours[-1].astimezone(moment.local.tzinfo).date() if hours else None

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()


def to_hour(at: datetime | None) -> int:
    """Return a time's hour as it is stored; :data:`NO_HOUR` for None."""
    return NO_HOUR if at is None else to_ms(at) // _HOUR_MS
