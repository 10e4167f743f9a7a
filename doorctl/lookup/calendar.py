"""Which calendar counts: the configuration's hours with what branch.db adds to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from doorctl.access.calendar import (
    ALL_DAY,
    Calendar,
    Cause,
    DatedDay,
    Day,
    DaySource,
    StoredCalendar,
)
from doorctl.config.hours import Opening, dated

CLOSED_WEEK = ((),) * 7
"""Under the website's hours a date that it leaves out is closed."""

NOT_KNOWN = Calendar(CLOSED_WEEK, known_until=date.min)
"""No date is known: closed to patrons, and a problem that is reported."""


def calendar_of(opening: Opening, stored: StoredCalendar) -> Calendar:
    """Return the calendar that counts; it knows no date where a source that it needs is silent.

    Staff's hours for a date win over the configuration, and that over public holidays. The
    website's hours replace the week and the holidays; staff's week replaces the configuration's.
    """
    base = _base(opening, stored)
    staff = stored.sources.get(DaySource.STAFF)
    if staff is None and not stored.damaged:
        return base
    by_staff = {} if staff is None else dated(staff.days)
    damaged = {day: DatedDay((), Cause.UNKNOWN_CALENDAR) for day in stored.damaged}
    return replace(base, days={**base.days, **by_staff, **damaged})


def _base(opening: Opening, stored: StoredCalendar) -> Calendar:
    calendar = opening.calendar
    if opening.source == "website":
        site = stored.sources.get(DaySource.WEBSITE)
        if site is None:
            return NOT_KNOWN
        days = {**dated(site.days, Cause.SCHEDULE), **calendar.days}
        return Calendar(CLOSED_WEEK, days, site.known_until or date.min)
    if opening.source == "staff":
        if stored.week is None:
            return NOT_KNOWN
        calendar = replace(calendar, week=stored.week.days)
    if opening.holidays == "ignore":
        return calendar
    holidays = stored.sources.get(DaySource.HOLIDAY)
    if holidays is None:
        return NOT_KNOWN
    spans: Day = sunday_of(calendar) if opening.holidays == "sunday" else ()
    named = {day.day: DatedDay(spans, Cause.HOLIDAY, day.note) for day in holidays.days}
    return replace(calendar, days={**named, **calendar.days}, known_until=holidays.known_until)


def sunday_of(calendar: Calendar) -> Day:
    """Return the hours of a usual Sunday; all day where no week is given."""
    return ALL_DAY if calendar.week is None else calendar.week[-1]
