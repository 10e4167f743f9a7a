"""Which calendar counts: the configuration's hours with what branch.db adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from doorctl.access.calendar import Calendar, Cause, DatedDay
from doorctl.config.opening import Opening
from doorctl.ports import DaySource, StoredCalendar, StoredDays

CLOSED_WEEK = ((),) * 7
"""Under the website's hours a date that it leaves out is closed."""


NOT_KNOWN = Calendar(CLOSED_WEEK, known_until=date.min)
"""No date is known: closed to patrons, and a problem that somebody is told of."""


def calendar_of(opening: Opening, stored: StoredCalendar) -> Calendar:
    """Return the calendar that counts; where a source that it needs never spoke, it knows no date.

    What staff say of a date goes before the configuration, and that before public holidays. The
    website's hours stand in place of the week and of the holidays.

    Args:
        opening: what the configuration says, and who is to be asked.
        stored: what branch.db holds.
    """
    said = {one.source: one for one in stored.sources}
    base = _base(opening, stored, said)
    staff = _dated(said.get(DaySource.STAFF), Cause.EXCEPTION)
    return replace(base, days={**base.days, **staff})


def _base(
    opening: Opening, stored: StoredCalendar, said: Mapping[DaySource, StoredDays]
) -> Calendar:
    if opening.source == "website":
        site = said.get(DaySource.WEBSITE)
        if site is None:
            return NOT_KNOWN
        return Calendar(
            CLOSED_WEEK,
            {**_dated(site, Cause.SCHEDULE), **opening.dated},
            site.known_until or date.min,
        )
    calendar = opening.calendar
    if opening.source == "staff" and stored.week is not None:
        calendar = replace(calendar, week=stored.week)
    if opening.holidays == "ignore":
        return calendar
    holidays = said.get(DaySource.HOLIDAY)
    if holidays is None:
        return NOT_KNOWN
    known = replace(calendar, known_until=holidays.known_until)
    return known.over(_dated(holidays, Cause.HOLIDAY))


def _dated(said: StoredDays | None, cause: Cause) -> dict[date, DatedDay]:
    days = () if said is None else said.days
    return {one.day: DatedDay(one.spans, cause, one.note) for one in days}
