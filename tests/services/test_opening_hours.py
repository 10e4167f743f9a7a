"""Which of those who speak of a date is heard."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, product
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.calendar import (
    ALL_DAY,
    Cause,
    Day,
    DaySource,
    Mode,
    ModeSpan,
    StoredCalendar,
    StoredDay,
    StoredDays,
)
from doorctl.config.hours import DatedHours, HoursSource, Opening
from doorctl.core.errors import InputError
from doorctl.services.hours import calendar_of, week_of

DAY = date(2026, 12, 24)
FETCHED = datetime(2026, 12, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ZONE = ZoneInfo("Europe/Copenhagen")


def hours(starts: int) -> Day:
    """Return a day that is open for one hour, to be told from others by its start."""
    return (ModeSpan(Mode.SELF_SERVICE, starts * 60, (starts + 1) * 60),)


SAID = {
    DaySource.STAFF: (hours(1), Cause.EXCEPTION),
    DaySource.CONFIG: (hours(2), Cause.EXCEPTION),
    DaySource.WEBSITE: (hours(3), Cause.SCHEDULE),
    DaySource.HOLIDAY: ((), Cause.HOLIDAY),
}
"""Whoever comes first is heard."""

KNOW_AN_END = frozenset({DaySource.WEBSITE, DaySource.HOLIDAY})
CONFIGURED_WEEK = (hours(6),) * 7
EXCEPTION = DatedHours("hours.exceptions[0]", DAY, hours(2))


def stored(sources: Iterable[DaySource]) -> StoredCalendar:
    """Return what branch.db holds of these."""
    return StoredCalendar(
        tuple(
            StoredDays(
                source,
                (StoredDay(DAY, SAID[source][0], source.value),),
                DAY if source in KNOW_AN_END else None,
                FETCHED,
            )
            for source in sources
            if source is not DaySource.CONFIG
        ),
    )


SOME = [some for count in range(1, len(SAID) + 1) for some in combinations(SAID, count)]


@pytest.mark.parametrize("some", SOME, ids=lambda some: "+".join(one.value for one in some))
def test_of_one_date_the_first_is_heard(some: tuple[DaySource, ...]) -> None:
    """Staff, the configuration's exceptions, the website, public holidays: all combinations."""
    opening = Opening(
        week=CONFIGURED_WEEK,
        exceptions=(EXCEPTION,) if DaySource.CONFIG in some else (),
        source="website" if DaySource.WEBSITE in some else "config",
        holidays="closed" if DaySource.HOLIDAY in some else "ignore",
    )
    calendar = calendar_of(opening, stored(some))
    spans, cause = SAID[some[0]]

    assert calendar.day(DAY) == spans
    assert calendar.cause_on(DAY) is cause


@pytest.mark.parametrize(
    ("source", "expected"),
    [("config", hours(6)), ("staff", None), ("website", None)],
)
def test_the_week_is_the_sources(source: HoursSource, expected: Day | None) -> None:
    """On a date of which nobody speaks; the website is not asked about dates beyond its last."""
    calendar = calendar_of(Opening(week=CONFIGURED_WEEK, source=source), stored(SAID))

    assert calendar.day(DAY + timedelta(days=7)) == expected


def test_staffs_week_goes_past_midnight_from_any_day_to_the_next() -> None:
    """Every hour to every hour, on each weekday: open from the one until just before the other."""
    opening, monday = Opening(week=CONFIGURED_WEEK, source="staff"), date(2026, 12, 21)
    for weekday, starts, lasts in product(range(7), range(24), range(1, 25)):
        span = ModeSpan(Mode.SELF_SERVICE, starts * 60, (starts + lasts) * 60)
        week = week_of([span] if at == weekday else [] for at in range(7))
        calendar = calendar_of(opening, StoredCalendar(week=week))
        begins = datetime.combine(monday, time(starts), ZONE) + timedelta(days=weekday)
        ends = begins + timedelta(hours=lasts)
        for at, mode in (
            (begins - MINUTE, Mode.CLOSED),
            (begins, Mode.SELF_SERVICE),
            (ends - MINUTE, Mode.SELF_SERVICE),
            (ends, Mode.CLOSED),
        ):
            assert calendar.mode_at(at) is mode, (weekday, starts, lasts, at)


def test_a_week_whose_sunday_night_meets_monday_is_refused() -> None:
    """Monday follows Sunday; the sentence names both days."""
    night = ModeSpan(Mode.SELF_SERVICE, 1200, 1800)
    morning = ModeSpan(Mode.SELF_SERVICE, 300, 600)
    with pytest.raises(InputError, match=r"week\.monday.*overlaps.*week\.sunday"):
        week_of(([morning], *[()] * 5, [night]))


def test_what_the_website_said_counts_only_where_it_is_the_source() -> None:
    """Who goes back to the file has the file's hours, whatever is still stored."""
    opening = Opening(week=CONFIGURED_WEEK, source="config")

    assert calendar_of(opening, stored([DaySource.WEBSITE])).day(DAY) == hours(6)


@pytest.mark.parametrize(
    "opening",
    [
        Opening(week=CONFIGURED_WEEK, source="website"),
        Opening(week=CONFIGURED_WEEK, holidays="closed"),
    ],
    ids=["website", "holidays"],
)
def test_a_source_that_never_spoke_opens_nothing(opening: Opening) -> None:
    """Not even where the file has hours: the mode is unknown, which somebody is told."""
    calendar = calendar_of(opening, StoredCalendar())

    assert calendar.mode_at(datetime(2026, 12, 24, 6, 30, tzinfo=ZONE)) is None
    assert calendar.cause_on(DAY) is Cause.UNKNOWN_CALENDAR


def test_without_any_hours_it_is_always_open() -> None:
    """As a branch without [hours] was before there was a calendar."""
    calendar = calendar_of(Opening(), StoredCalendar())

    assert calendar.always_open
    assert calendar.day(DAY) == ALL_DAY
