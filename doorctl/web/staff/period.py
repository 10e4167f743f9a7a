"""From and to, as a page's address gives them: whole local days, both included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from doorctl.errors import InputError
from doorctl.web.staff.filled_in import day

ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Days; None is no bound."""

    since: date | None = None
    until: date | None = None

    def starts(self, zone: tzinfo) -> datetime | None:
        """Return when the first day begins, UTC."""
        return _midnight(self.since, zone)

    def ends(self, zone: tzinfo) -> datetime | None:
        """Return when the last day is over, UTC."""
        return _midnight(None if self.until is None else self.until + ONE_DAY, zone)


def read_period(since: str, until: str) -> Period:
    """Return the days that two fields say; an empty one is no bound.

    Raises:
        InputError: one is no date of this century, or the last lies before the first.
    """
    first, last = day(since), day(until)
    if first is not None and last is not None and last < first:
        raise InputError("the last day lies before the first")
    return Period(first, last)


def _midnight(begins: date | None, zone: tzinfo) -> datetime | None:
    return None if begins is None else datetime.combine(begins, time(), zone).astimezone(UTC)
