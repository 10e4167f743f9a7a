from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given

from doorctl.access.calendar import LOOK_AHEAD, Calendar, DatedDay, Mode, ModeSpan
from doorctl.access.day import Override, judge, planned
from doorctl.access.panel import Hours, Opens, Outlook, Staffed, outlook
from doorctl.core.moments import ClockState, Moment
from tests.access.calendars import OPEN, STAFFED, at, calendars, every_day, times

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))
TODAY = (Hours(420, 600, False), Hours(600, 1080, True), Hours(1080, 1320, False))
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
COUNTED = 15


def told(
    text: str,
    calendar: Calendar | None = LIBRARY,
    override: Override | None = None,
    state: ClockState = ClockState.TRUSTED,
    *,
    no_entry: bool = False,
) -> Outlook:
    """Return what is said at a time of a Thursday in March 2026, in the mode that stands."""
    moment = Moment(at(f"2026-03-{text}"), LONG_AGO, state)
    mode = judge(calendar, override, moment).mode
    return outlook(calendar, override, moment, (mode, no_entry), COUNTED)


def by_staff(mode: Mode, until: str) -> Override:
    """Return a change by staff."""
    return Override(mode, at(f"2026-03-{until}"))


def test_today_is_told_as_it_is_planned() -> None:
    """Staffed hours and those by card, in order, in minutes of the day."""
    assert told("12T19:00") == Outlook(OPEN, hours=TODAY, staffed=Staffed(1, 4, 600, 1080))


@pytest.mark.parametrize(
    ("when", "minutes"),
    [("12T21:44", None), ("12T21:45", 15), ("12T21:58", 2), ("12T21:59:59", 1), ("12T22:00", None)],
)
def test_the_last_minutes_are_counted_down(when: str, minutes: int | None) -> None:
    """From 15 before closing on, rounded up, so that 0 is never said."""
    assert told(when).minutes == minutes


def test_that_staff_go_home_is_no_closing() -> None:
    """Self-service follows: nobody has to leave."""
    assert told("12T17:50").minutes is None


@pytest.mark.parametrize(
    ("when", "override", "staffed"),
    [
        ("12T09:59", None, Staffed(0, 3, 600, 1080)),
        ("12T10:00", None, Staffed(1, 4, 600, 1080)),
        ("28T23:00", None, Staffed(1, 6, 600, 1080)),
        ("12T09:00", (OPEN, "12T12:00"), Staffed(1, 4, 600, 1080)),
        ("12T09:00", (OPEN, "14T09:59"), Staffed(2, 5, 600, 1080)),
        ("12T09:00", (Mode.LOCKDOWN, "19T00:00"), None),
        ("12T09:00", (OPEN, "12T09:00"), Staffed(0, 3, 600, 1080)),
    ],
)
def test_it_says_when_staff_are_there(
    when: str, override: tuple[Mode, str] | None, staffed: Staffed | None
) -> None:
    """The next staffed hours within a week that nothing set by hand covers the beginning of.

    Bug (outside look): a code told a child to telephone, and not that staff are there from ten.
    """
    by_hand = None if override is None else by_staff(*override)

    assert told(when, override=by_hand).staffed == staffed


def test_staff_who_come_no_more_this_week_are_not_promised() -> None:
    """Six days ahead a weekday names one day; seven days ahead it names today."""
    for days, found in ((6, Staffed(6, 2, 600, 900)), (7, None)):
        staffed_day = (at("2026-03-12T00:00") + timedelta(days=days)).date()
        there = {staffed_day: DatedDay((ModeSpan(STAFFED, 600, 900),))}
        assert told("12T09:00", Calendar(((),) * 7, there)).staffed == found
    known = Calendar(
        ((ModeSpan(STAFFED, 600, 900),),) * 7, known_until=at("2026-03-11T00:00").date()
    )
    assert told("12T09:00", known).staffed is None


def test_a_late_hour_lets_nobody_in() -> None:
    """What the door judges by is what the screen says."""
    assert not told("12T21:50", no_entry=True).entry


@pytest.mark.parametrize(
    ("when", "opens"),
    [
        ("12T05:00", Opens(0, 3, 420)),
        ("12T22:00", Opens(1, 4, 420)),
        ("28T23:00", Opens(1, 6, 420)),
    ],
)
def test_it_says_when_it_opens_again(when: str, opens: Opens) -> None:
    """Today, tomorrow, and over the night in which the clocks change, by the wall's clock."""
    assert told(when).opens == opens


def test_a_closed_week_is_looked_over() -> None:
    """A date that is open ten days later is found; beyond 14 days nothing is promised."""
    for days, found in ((10, Opens(10, 6, 600)), (15, None)):
        open_day = (at("2026-03-12T00:00") + timedelta(days=days)).date()
        calendar = Calendar(((),) * 7, {open_day: DatedDay((ModeSpan(OPEN, 600, 900),))})
        assert told("12T19:00", calendar).opens == found


def test_what_staff_set_goes_before_the_plan() -> None:
    """Today's hours are not told where they don't count; closing and opening are as they set."""
    longer = told("12T22:50", override=by_staff(Mode.SELF_SERVICE, "12T23:00"))
    closed = told("12T12:00", override=by_staff(Mode.CLOSED, "12T14:30"))

    assert (longer.minutes, longer.hours) == (10, None)
    assert (closed.opens, closed.hours) == (Opens(0, 3, 870), None)
    for ended in ("12T11:00", "12T12:00"):
        assert told("12T12:00", override=by_staff(Mode.CLOSED, ended)).hours == TODAY


def test_nobody_is_told_when_a_lockdown_ends() -> None:
    """Whoever it is meant for could wait for it."""
    assert told("12T12:00", override=by_staff(Mode.LOCKDOWN, "12T14:30")).opens is None
    assert told("12T21:50", override=by_staff(Mode.LOCKDOWN, "12T22:00")).minutes is None
    assert told("12T21:50", override=by_staff(Mode.LOCKDOWN, "12T22:05")).minutes is None


def test_without_a_calendar_or_a_clock_no_time_is_told() -> None:
    """What is not known is not said."""
    assert told("12T19:00", None) == Outlook(Mode.CLOSED)
    assert told("12T19:00", None, no_entry=True) == Outlook(Mode.CLOSED, entry=False)
    assert told("12T19:00", state=ClockState.UNTRUSTED) == Outlook(None)
    beyond = Calendar(LIBRARY.week, known_until=at("2026-03-11T00:00").date())
    assert told("12T19:00", beyond) == Outlook(None)


@given(calendars, times())
def test_it_opens_when_it_says_and_not_before(calendar: Calendar, local: datetime) -> None:
    """At the time that is told somebody may come in; a minute before nobody may."""
    said = outlook(
        calendar, None, Moment(local, LONG_AGO, ClockState.TRUSTED), (Mode.CLOSED, False), COUNTED
    )
    if said.opens is None or planned(calendar, None, local) is not Mode.CLOSED:
        return
    day = local.date() + timedelta(days=said.opens.days)
    clock = time(*divmod(said.opens.minute, 60), tzinfo=local.tzinfo)
    walls = [datetime.combine(day, clock.replace(fold=fold)) for fold in (0, 1)]
    assert day.weekday() == said.opens.weekday
    assert any(planned(calendar, None, wall) in (OPEN, STAFFED) for wall in walls)
    assert min(walls) - local <= LOOK_AHEAD + timedelta(hours=1)
