"""What the pages of the calendar and of statistics ask for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from doorctl.access.calendar import Cause, Day
from doorctl.ports import StoredDay
from doorctl.privacy.statistics import Gathered


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One date.

    Args:
        spans: None where not known.
        cause: who says so.
        note: what the day is; may be empty.
        by_staff: whether staff have said so, and can take it back.
    """

    day: date
    spans: Day | None
    cause: Cause
    note: str
    by_staff: bool


class CalendarDesk(Protocol):
    """The branch's hours."""

    def days(self, first: date, count: int) -> tuple[CalendarDay, ...]:
        """Return so many dates."""

    def set_day(self, day: StoredDay, by: str) -> None:
        """Give a date hours of its own; none for closed."""

    def clear_day(self, day: date, by: str) -> None:
        """Take back what staff said of a date."""


class StatisticsDesk(Protocol):
    """How much the door is used; names nobody."""

    def branch(self) -> str:
        """Return the branch's id, as it stands in what scripts read."""

    def usage(self, since: date | None, until: date | None) -> Gathered:
        """Return the counts of the month or year that both local days lie in, else all of them."""
