"""What the configuration says of the branch's hours, and the calendar it makes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from doorctl.access.calendar import Calendar, DatedDay, Day, Mode, ModeSpan
from doorctl.access.hours import Span
from doorctl.config.hours_tables import HalfHoliday, HolidayRule, HoursSource, OpenMeans
from doorctl.config.wording import shown
from doorctl.errors import Problem

Week = tuple[tuple[Span, ...], ...]
"""Seven days, Monday first, each day's spans in order; an empty day has none."""


@dataclass(frozen=True, slots=True)
class DatedHours:
    """One date's own hours; both empty for closed.

    Args:
        key: where they are written, such as ``hours.exceptions[0]``.
        day: the date.
        self_service: spans, in order.
        staffed: spans, in order.
        note: a few words for people.
    """

    key: str
    day: dt.date
    self_service: tuple[Span, ...] = ()
    staffed: tuple[Span, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """All that the configuration says of the hours; thread-safe, for nothing in it changes.

    Args:
        week: self-service hours; None for all hours.
        staffed: staffed hours of the same week.
        exceptions: dates with hours of their own, each date once.
    """

    week: Week | None = None
    staffed: Week = ((),) * 7
    exceptions: tuple[DatedHours, ...] = ()
    source: HoursSource = "config"
    holidays: HolidayRule = "ignore"
    holidays_also: tuple[HalfHoliday, ...] = ()
    website_url: str = ""
    website_branch: str = ""
    website_days: int = 14
    website_open_means: OpenMeans = "self_service"

    @property
    def dated(self) -> Mapping[dt.date, DatedDay]:
        """The exceptions as a calendar has them."""
        return {
            one.day: DatedDay(_merged(one.self_service, one.staffed), note=one.note)
            for one in self.exceptions
        }

    @property
    def calendar(self) -> Calendar:
        """The week and the exceptions, without holidays, which the door can't compute."""
        if self.week is None:
            return Calendar(None, self.dated)
        days = zip(self.week, self.staffed, strict=True)
        return Calendar(tuple(_merged(*day) for day in days), self.dated)


def past_exceptions(opening: Opening, today: dt.date) -> Iterator[Problem]:
    """Yield one problem for each exception before `today`, the branch's local date.

    Only ``check-config`` asks: a door must not stop because Christmas is over.
    """
    for one in opening.exceptions:
        if one.day < today:
            told = f"found {shown(one.day)}, which is past"
            yield Problem(f"{one.key}.date", f"{told}; take the exception out or correct the year")


def _merged(self_service: tuple[Span, ...], staffed: tuple[Span, ...]) -> Day:
    return (
        *(ModeSpan(Mode.SELF_SERVICE, one.opens, one.closes) for one in self_service),
        *(ModeSpan(Mode.STAFFED, one.opens, one.closes) for one in staffed),
    )
