"""The day at its edges: how long a look holds, and what of it is left for the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.day import (
    ClosingWarned,
    Day,
    DayRules,
    ModeChanged,
    Override,
    turned,
    with_hours,
)
from doorctl.core.moments import ClockState, Moment
from tests.access.calendars import CLOSED, OPEN, STAFFED, at, every_day

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))
RULES = DayRules(warn_min=(5, 10, 15), no_entry_min=15)
LONG_AGO = datetime(2026, 12, 1, tzinfo=UTC)
LATE = Override(OPEN, at("2026-12-24T23:00"))
LOCKDOWN = Override(Mode.LOCKDOWN, at("2026-12-24T22:05"))


def clock(
    text: str, state: ClockState = ClockState.TRUSTED, high_water: datetime = LONG_AGO
) -> Moment:
    """Return a time of Christmas Eve."""
    return Moment(at(f"2026-12-24T{text}"), high_water, state)


def unset(text: str, high_water: datetime = LONG_AGO) -> Moment:
    """Return the same by a clock that nobody vouches for."""
    return clock(text, ClockState.UNTRUSTED, high_water)


def looked(*moments: Moment, day: Day | None = None, rules: DayRules = RULES) -> Day:
    """Look at each moment; return the day."""
    day = day or Day(LIBRARY)
    for moment in moments:
        day, _ = turned(day, moment, rules)
    return day


def warnings(*moments: Moment, day: Day) -> list[int]:
    """Return the warnings of all looks, in order."""
    heard = []
    for moment in moments:
        day, effects = turned(day, moment, RULES)
        heard += [one.minutes for one in effects if isinstance(one, ClosingWarned)]
    return heard


@pytest.mark.parametrize("text", ["20:00:15.5", "20:00:30", "20:00:59.999999"])
def test_a_look_holds_for_its_minute(text: str) -> None:
    """In between nobody looks into the hours, however many cards come."""
    day = looked(clock("20:00:15.5"))

    assert replace(day, calendar=None).mode_at(clock(text), RULES) == (OPEN, False)
    assert turned(day, clock(text), RULES) == (day, ())


@pytest.mark.parametrize("text", ["20:00:15.499999", "20:01:00"])
def test_before_a_look_and_after_its_minute_the_hours_are_asked(text: str) -> None:
    """To the microsecond, whenever in the minute the look was."""
    day = looked(clock("20:00:15.5"))

    assert replace(day, calendar=None).mode_at(clock(text), RULES) == (CLOSED, False)


def test_by_an_unset_clock_there_are_no_last_minutes() -> None:
    """Nobody knows when they are."""
    assert Day(LIBRARY).mode_at(unset("21:59:30"), RULES) == (None, False)
    assert looked(clock("21:50:00"), unset("21:51:00")).closes is None


@pytest.mark.parametrize("no_entry_min", [1, 15])
def test_the_last_minutes_are_those_before_what_staff_have_set(no_entry_min: int) -> None:
    """Before any look, and by the last one."""
    rules = replace(RULES, no_entry_min=no_entry_min)
    day = Day(LIBRARY, LATE)

    for one in (day, looked(clock("22:59:00"), day=day, rules=rules)):
        assert one.mode_at(clock("22:59:00"), rules) == (OPEN, True)
        assert one.mode_at(clock("22:30:00"), rules) == (OPEN, False)


def test_of_the_end_that_staff_have_set_everybody_is_warned() -> None:
    """Though by the calendar the house has been closed for an hour."""
    assert warnings(clock("22:44:30"), clock("22:45:00"), day=Day(LIBRARY, LATE)) == [15]


def test_what_staff_set_counts_with_the_next_look() -> None:
    """And what they take back as well, within the same minute."""
    day = with_hours(looked(clock("20:00:00")), LIBRARY, LOCKDOWN)
    day, (locked,) = turned(day, clock("20:00:01"), RULES)
    assert isinstance(locked, ModeChanged)
    assert locked.standing.mode is Mode.LOCKDOWN

    day, (opened,) = turned(with_hours(day, LIBRARY, None), clock("20:00:02"), RULES)
    assert isinstance(opened, ModeChanged)
    assert opened.standing.mode is OPEN


def test_a_clock_that_was_lost_is_asked_by_what_is_certain() -> None:
    """A look by the right clock before it does not hold for the rest of its minute."""
    day = Day(Calendar(), Override(CLOSED, at("2026-12-24T12:00")))
    day = looked(clock("11:59:30"), unset("11:59:40"), day=day)
    over = unset("11:59:50", at("2026-12-24T12:30").astimezone(UTC))

    assert day.mode_at(unset("11:59:50"), RULES) == (CLOSED, False)
    assert day.mode_at(over, RULES) == (OPEN, False)


@pytest.mark.parametrize(
    ("day", "rules"), [(Day(LIBRARY), DayRules()), (Day(LIBRARY, LOCKDOWN), RULES)]
)
def test_where_nobody_is_to_be_warned_no_closing_is_kept(day: Day, rules: DayRules) -> None:
    """Neither where no warning is asked for, nor where nobody may be in."""
    assert looked(clock("21:59:30"), day=day, rules=rules).closes is None


def test_a_clock_that_goes_back_by_a_whole_day_was_not_wrong() -> None:
    """By more than that it was: then warnings begin anew."""
    day = Day(LIBRARY)
    tomorrow = at("2026-12-25T21:46")
    for beside, heard in ((timedelta(), []), (timedelta(microseconds=1), [10])):
        first = Moment(tomorrow + beside, LONG_AGO, ClockState.TRUSTED)
        assert warnings(first, clock("21:46:00"), clock("21:50:00"), day=day) == heard


def test_by_an_unset_clock_no_last_minutes_are_left_over() -> None:
    """Where patrons may be in at all hours, a closing that was ahead before keeps nobody out."""
    late = looked(clock("21:50:00"))

    day = looked(unset("21:51:00"), day=with_hours(late, Calendar(), None))

    assert day.mode_at(unset("21:51:00"), RULES) == (OPEN, False)


def test_hours_that_staff_have_drawn_out_are_warned_of_by_their_own_end() -> None:
    """Also where the hours that were planned end in between: nobody had to leave then."""
    drawn_out = Day(LIBRARY, Override(OPEN, at("2026-12-24T22:14")))

    assert warnings(clock("21:58:00"), clock("22:02:00"), day=drawn_out) == [15]
