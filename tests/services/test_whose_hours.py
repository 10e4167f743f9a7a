"""Every combination of what is configured and who has spoken, against the rule written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.calendar import (
    ALL_DAY,
    Calendar,
    Cause,
    Day,
    DaySource,
    Mode,
    ModeSpan,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.config.hours import HolidayRule, HoursSource, Opening
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.lookup.calendar import calendar_of
from doorctl.services.hours import Hours, refuse_day, week_of

DAY = date(2026, 12, 24)
NEXT = DAY + timedelta(days=1)
LAST = DAY + timedelta(days=7)
FETCHED = datetime(2026, 12, 1, tzinfo=UTC)
FILE, STAFF, EXCEPTION, SITE, HOLIDAY, WEEK = range(1, 7)
"""The hour at which each would open the house."""


@dataclass(frozen=True)
class World:
    """What is configured, and who has spoken."""

    source: HoursSource
    holidays: HolidayRule
    staff: bool
    exception: bool
    site: bool
    holiday: bool
    ends: bool
    week: bool

    @property
    def opening(self) -> Opening:
        """The configuration."""
        return Opening(
            week=(_open(FILE),) * 7,
            exceptions=(StoredDay(DAY, _open(EXCEPTION)),) if self.exception else (),
            source=self.source,
            holidays=self.holidays,
        )

    @property
    def stored(self) -> StoredCalendar:
        """What branch.db holds; the configuration's own are never stored there."""
        last = LAST if self.ends else None
        said = [
            (self.staff, DaySource.STAFF, STAFF, None),
            (self.site, DaySource.WEBSITE, SITE, last),
            (self.holiday, DaySource.HOLIDAY, HOLIDAY, last),
        ]
        return StoredCalendar(
            {
                source: StoredDays((StoredDay(DAY, _open(hour)),), known_until, FETCHED)
                for spoke, source, hour, known_until in said
                if spoke
            },
            StoredWeek((_open(WEEK),) * 7) if self.week else None,
        )

    @property
    def is_known(self) -> bool:
        """Whether everybody who is needed has spoken."""
        if self.source == "website":
            # A website that names no last date vouches for none.
            return self.site and self.ends
        return (self.holidays == "ignore" or self.holiday) and (self.source != "staff" or self.week)

    @property
    def on_the_day(self) -> tuple[Day, Cause]:
        """Who is heard on a date of which all have spoken."""
        if self.staff:
            return _open(STAFF), Cause.EXCEPTION
        if self.exception:
            return _open(EXCEPTION), Cause.EXCEPTION
        if self.source == "website":
            return _open(SITE), Cause.SCHEDULE
        if self.holidays != "ignore":
            # Its name and date are stored; its hours are the usual Sunday's, or none.
            return self.next_day if self.holidays == "sunday" else (), Cause.HOLIDAY
        return self.next_day, Cause.SCHEDULE

    @property
    def next_day(self) -> Day:
        """What counts on a date of which nobody has spoken."""
        week = {"website": (), "staff": _open(WEEK), "config": _open(FILE)}
        return week[self.source]

    @property
    def knows_an_end(self) -> bool:
        """Whether somebody who is needed speaks up to a date only."""
        return self.ends and (self.source == "website" or self.holidays != "ignore")


def _open(hour: int) -> Day:
    return (ModeSpan(Mode.SELF_SERVICE, hour * 60, hour * 60 + 60),)


def worlds() -> Iterator[World]:
    """Yield all of them."""
    yes_or_no = [(False, True)] * 6
    for values in product(get_args(HoursSource), get_args(HolidayRule), *yes_or_no):
        yield World(*values)


def test_the_whole_table() -> None:
    """Who is needed and never spoke: no date is known. Else staff, exception, website, holiday."""
    for world in worlds():
        calendar = calendar_of(world.opening, world.stored)
        if not world.is_known:
            assert calendar.day(DAY) is None, world
            assert calendar.cause_on(DAY) is Cause.UNKNOWN_CALENDAR, world
            assert calendar.day(NEXT) is None, world
            continue
        spans, cause = world.on_the_day

        assert calendar.day(DAY) == spans, world
        assert calendar.cause_on(DAY) is cause, world
        assert calendar.day(NEXT) == world.next_day, world
        assert calendar.known_until == (LAST if world.knows_an_end else None), world


def test_without_any_hours_it_is_always_open() -> None:
    """As a branch without [hours] was before there was a calendar."""
    calendar = calendar_of(Opening(), StoredCalendar())

    assert calendar.always_open
    assert calendar.day(DAY) == ALL_DAY


def test_a_week_whose_sunday_night_meets_monday_is_refused() -> None:
    """Monday follows Sunday; the sentence names both days."""
    night = ModeSpan(Mode.SELF_SERVICE, 1200, 1800)
    morning = ModeSpan(Mode.SELF_SERVICE, 300, 600)
    with pytest.raises(InputError, match=r"week\.monday.*overlaps.*week\.sunday"):
        week_of(([morning], *[()] * 5, [night]))


LOCAL = datetime(2026, 11, 25, 7, tzinfo=ZoneInfo("Europe/Copenhagen"))
UNSET = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.UNTRUSTED)
SPAN = (ModeSpan(Mode.SELF_SERVICE, 480, 1320),)


def test_by_a_clock_that_is_not_set_nothing_is_foretold() -> None:
    """A wrong promise is worse than none."""
    unset = Hours(Calendar((SPAN,) * 7), None, UNSET)

    assert (unset.next_change, unset.opens_next) == (None, None)
    assert unset.standing.cause is Cause.CLOCK


def test_a_branch_without_hours_can_have_an_exception() -> None:
    """Open at all hours, but not on Christmas Eve."""
    refuse_day(Hours(Calendar(), None, UNSET), StoredDay(LOCAL.date(), SPAN))
