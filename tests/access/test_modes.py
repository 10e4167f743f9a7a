from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import OPEN as OPENS
from doorctl.access.calendar import Calendar, Cause, DatedDay, Mode, ModeSpan
from doorctl.access.day import (
    Override,
    Standing,
    judge,
    next_planned_change,
    no_entry,
    opens_next,
    planned,
    planned_changes,
    standing,
)
from doorctl.core.moments import ClockState, Moment
from tests.access.calendars import CLOSED, OPEN, STAFFED, at, calendars, every_day, times

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))
NOON = at("2026-12-24T12:00")
SOON, LATE = NOON + timedelta(hours=1), NOON + timedelta(hours=12)


def moment(
    local: datetime, state: ClockState = ClockState.TRUSTED, high_water: datetime | None = None
) -> Moment:
    """Return a moment; by default its high-water mark is a day earlier."""
    known = high_water or local - timedelta(days=1)
    return Moment(local, known.astimezone(UTC), state)


def until(mode: Mode, end: datetime = SOON) -> Override:
    """Return a change by staff that ends at a time."""
    return Override(mode, end, "Loppemarked", "anna")


CALENDARS = {
    "none": None,
    "always": Calendar(),
    "open": LIBRARY,
    "closed": Calendar(((),) * 7),
    "ended": Calendar(LIBRARY.week, known_until=date(2026, 12, 23)),
    "dated": Calendar(None, {NOON.date(): DatedDay(())}),
    "holiday": Calendar(LIBRARY.week, {NOON.date(): DatedDay((), Cause.HOLIDAY)}),
}
BY_CALENDAR = {
    "none": (CLOSED, Cause.UNKNOWN_CALENDAR),
    "always": (OPEN, Cause.SCHEDULE),
    "open": (STAFFED, Cause.SCHEDULE),
    "closed": (CLOSED, Cause.SCHEDULE),
    "ended": (None, Cause.UNKNOWN_CALENDAR),
    "dated": (CLOSED, Cause.EXCEPTION),
    "holiday": (CLOSED, Cause.HOLIDAY),
}
BY_UNSET_CLOCK = {
    **dict.fromkeys(CALENDARS, (None, Cause.CLOCK)),
    "none": (CLOSED, Cause.UNKNOWN_CALENDAR),
    "always": (OPEN, Cause.SCHEDULE),
}
PROBLEM = {"none": (True, True), "ended": (True, False)}
"""Calendar -> whether somebody has to be told, by a right clock and by an unset one."""

ENDS = {"running": SOON, "at its end": NOON, "ended": NOON - timedelta(hours=1)}


@pytest.mark.parametrize("state", ClockState)
@pytest.mark.parametrize("name", CALENDARS)
def test_the_whole_table(name: str, state: ClockState) -> None:
    """Every calendar, clock, mode and end of a change by staff stands as the rules say."""
    dependable = state is not ClockState.UNTRUSTED
    by_calendar = (BY_CALENDAR if dependable else BY_UNSET_CLOCK)[name]
    told = PROBLEM.get(name, (False, False))[0 if dependable else 1]

    for mode, (which, end) in product(Mode, ENDS.items()):
        found = standing(CALENDARS[name], until(mode, end), moment(NOON, state))

        # The unset clock is known to be past noon of yesterday only: then all of them still ran.
        holds = which == "running" if dependable else mode not in OPENS
        lapsed = mode is Mode.LOCKDOWN and by_calendar[0] is STAFFED
        after = (CLOSED, Cause.LOCKDOWN) if lapsed else by_calendar
        assert (found.mode, found.cause) == ((mode, Cause.STAFF) if holds else after)
        assert found.problem is told
        if holds:
            assert found.until == (end if dependable else None)

    without = standing(CALENDARS[name], None, moment(NOON, state))
    assert (without.mode, without.cause, without.problem) == (*by_calendar, told)


def test_an_unset_clock_that_is_certainly_past_the_end() -> None:
    """What ended before the highest trusted time has ended, whatever the clock says."""
    early = moment(NOON, ClockState.UNTRUSTED, high_water=SOON)

    assert standing(Calendar(), until(Mode.LOCKDOWN), early) == Standing(OPEN, Cause.SCHEDULE)


def test_a_change_by_staff_ends_by_itself() -> None:
    """It holds until just before its end; from then on the calendar counts."""
    lockdown = until(Mode.LOCKDOWN)
    last = SOON - timedelta(microseconds=1)

    assert judge(LIBRARY, lockdown, moment(last)) == Standing(Mode.LOCKDOWN, Cause.STAFF)
    assert judge(LIBRARY, lockdown, moment(SOON)) == Standing(CLOSED, Cause.LOCKDOWN)
    assert standing(LIBRARY, lockdown, moment(last)) == Standing(
        Mode.LOCKDOWN, Cause.STAFF, lockdown.until
    )
    assert standing(LIBRARY, lockdown, moment(SOON)) == Standing(
        CLOSED, Cause.LOCKDOWN, at("2026-12-24T18:00")
    )


@given(calendars, times(), st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_a_lockdown_never_ends_into_a_door_that_stands_free(
    calendar: Calendar, local: datetime, length: timedelta
) -> None:
    """Over or not, and however long ago, only lifting it frees the door; cards count as before.

    Bug (outside look): a lockdown ended by itself into a door that stood free for everybody.
    """
    locked = Override(Mode.LOCKDOWN, local + length)
    found, free = judge(calendar, locked, moment(local)), judge(calendar, None, moment(local))

    assert found.mode is not STAFFED
    assert planned(calendar, locked, local) is (found.mode or CLOSED)
    if length <= timedelta(0) and free.mode is not STAFFED:
        assert found == free


def test_the_end_is_compared_in_real_time() -> None:
    """At 2:10 of the second pass an hour has gone by since 2:10 of the first."""
    first = at("2026-10-25T02:10")
    second = first.replace(fold=1)
    override = Override(Mode.LOCKDOWN, at("2026-10-25T02:30"))

    assert standing(LIBRARY, override, moment(first)).mode is Mode.LOCKDOWN
    assert standing(LIBRARY, override, moment(second)).mode is CLOSED


def test_an_end_needs_its_zone() -> None:
    """An end by some clock or other is refused; an aware one is kept in UTC."""
    with pytest.raises(ValueError, match=r"^the end of an override has no time zone$"):
        Override(OPEN, datetime(2026, 12, 24, 12, 0))  # noqa: DTZ001 - what is refused
    assert until(OPEN).until.tzinfo is UTC


def test_what_staff_wrote_is_not_printed() -> None:
    """Neither the words nor the account of a change get into a log by accident."""
    assert "anna" not in repr(until(OPEN))
    assert "Loppemarked" not in repr(until(OPEN))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (None, [("18:00", OPEN), ("22:00", CLOSED)]),
        (until(STAFFED), [("18:00", OPEN), ("22:00", CLOSED)]),
        (until(Mode.LOCKDOWN), [("13:00", CLOSED), ("18:00", OPEN), ("22:00", CLOSED)]),
        (until(OPEN, at("2026-12-24T23:30")), [("23:30", CLOSED)]),
        (until(CLOSED, at("2026-12-25T00:30")), []),
        (until(CLOSED, NOON), [("18:00", OPEN), ("22:00", CLOSED)]),
    ],
)
def test_what_is_planned(override: Override | None, expected: list[tuple[str, Mode]]) -> None:
    """First the end of what staff have set, where that changes anything, then the calendar."""
    changes = list(planned_changes(LIBRARY, override, NOON, LATE))

    assert [(found.strftime("%H:%M"), mode) for found, mode in changes] == expected


def test_a_change_at_the_very_end_is_planned_and_none_is_told_twice() -> None:
    """The end is included; that nobody knows any more after closed is closed all the same."""
    assert [*planned_changes(LIBRARY, until(Mode.LOCKDOWN), NOON, SOON)] == [(SOON, CLOSED)]

    ends = Calendar(LIBRARY.week, known_until=NOON.date())
    evening = [mode for _, mode in planned_changes(ends, None, NOON, LATE + timedelta(hours=1))]
    assert evening == [OPEN, CLOSED]


def test_the_next_planned_change() -> None:
    """It is looked for 14 days ahead; without a calendar it is the end of what staff have set."""
    assert next_planned_change(LIBRARY, until(STAFFED), NOON) == (at("2026-12-24T18:00"), OPEN)
    assert next_planned_change(None, until(OPEN), NOON) == (SOON, CLOSED)
    assert next_planned_change(None, None, NOON) is None
    assert planned(None, None, NOON) is CLOSED
    assert planned(CALENDARS["ended"], None, NOON) is CLOSED


@pytest.mark.parametrize(
    ("now", "override", "opens"),
    [
        ("2026-12-24T08:00", None, "2026-12-24T08:00"),
        ("2026-12-24T12:00", None, "2026-12-24T12:00"),
        ("2026-12-23T22:00", None, "2026-12-24T07:00"),
        ("2026-12-23T22:00", until(CLOSED), "2026-12-24T13:00"),
    ],
)
def test_patrons_come_in_next(now: str, override: Override | None, opens: str) -> None:
    """It is now where it is open, staffed or not, else the first opening, after staff's own end."""
    assert opens_next(LIBRARY, override, at(now)) == at(opens)


def test_an_opening_is_looked_for_14_real_days_ahead() -> None:
    """Clocks that go forward meanwhile hide no hour of them."""
    opens = {date(2027, 4, 3): DatedDay((ModeSpan(OPEN, 570, 1200),))}
    dated = Calendar(((),) * 7, opens)

    assert opens_next(dated, None, at("2027-03-20T09:00")) == at("2027-04-03T09:30")
    assert opens_next(dated, None, at("2027-03-20T08:29")) is None


overrides = st.none() | st.builds(Override, st.sampled_from(Mode), times())


@given(calendars, overrides, times())
def test_until_it_opens_next_nobody_comes_in(
    calendar: Calendar, override: Override | None, local: datetime
) -> None:
    """At that instant patrons do."""
    opens = opens_next(calendar, override, local)
    if opens is None or opens != local:
        assert planned(calendar, override, local) not in OPENS
    if opens is None:
        return
    assert planned(calendar, override, opens) in OPENS
    if opens != local:
        before = (opens.astimezone(UTC) - timedelta(microseconds=1)).astimezone(opens.tzinfo)
        assert planned(calendar, override, before) not in OPENS


@given(calendars, overrides, times())
def test_the_next_planned_change_is_the_first(
    calendar: Calendar, override: Override | None, local: datetime
) -> None:
    """Up to it the plan is as now, and at it another."""
    mode = planned(calendar, override, local)
    found = next_planned_change(calendar, override, local)
    if found is None:
        return
    now, end = local.astimezone(UTC), found[0].astimezone(UTC)

    for share in (0.1, 0.5, 0.9, 1):
        before = max(now, now + (end - now) * share - timedelta(microseconds=1))
        assert planned(calendar, override, before.astimezone(local.tzinfo)) is mode
    assert planned(calendar, override, found[0]) is found[1] is not mode


@given(calendars, overrides, times())
def test_what_stands_is_what_was_planned(
    calendar: Calendar, override: Override | None, local: datetime
) -> None:
    """By a right clock both tell the same mode; where nobody knows, the plan is closed."""
    assert (standing(calendar, override, moment(local)).mode or CLOSED) is planned(
        calendar, override, local
    )


@pytest.mark.parametrize(
    ("clock", "last_min", "refused"),
    [
        ("21:44:59.999999", 15, False),
        ("21:45:00", 15, True),
        ("21:59:59.999999", 15, True),
        ("22:00:00", 15, False),
        ("21:59:59.999999", 0, False),
        ("09:50:00", 15, False),
        ("17:50:00", 15, False),
        ("12:00:00", 15, False),
    ],
)
def test_nobody_new_comes_in_at_the_end(clock: str, last_min: int, refused: bool) -> None:
    """In the last minutes of self-service before closed, not before staff take over."""
    assert no_entry(LIBRARY, None, at(f"2026-12-24T{clock}"), last_min) is refused


def test_the_end_by_staff_is_an_end_too() -> None:
    """Self-service that staff have prolonged ends when they said, and any other by lockdown."""
    late = Override(OPEN, at("2026-12-24T23:00"))

    assert not no_entry(LIBRARY, late, at("2026-12-24T21:55"), 15)
    assert no_entry(LIBRARY, late, at("2026-12-24T22:50"), 15)
    assert no_entry(None, late, at("2026-12-24T22:50"), 15)


def test_the_end_of_what_is_known_is_an_end() -> None:
    """Where the calendar ends while open, nobody comes in just before it."""
    calendar = Calendar(known_until=date(2026, 12, 24))

    assert no_entry(calendar, None, at("2026-12-24T23:50"), 15)
    assert not no_entry(Calendar(), None, at("2026-12-24T23:50"), 15)


@given(calendars, times(), st.integers(1, 60))
def test_no_entry_means_out_in_so_many_minutes(
    calendar: Calendar, local: datetime, last_min: int
) -> None:
    """Where nobody new comes in, it is self-service now and not open at some time until then."""
    end = (local.astimezone(UTC) + timedelta(minutes=last_min)).astimezone(local.tzinfo)
    changes = [mode or CLOSED for _, mode in calendar.changes(local, end)]

    assert no_entry(calendar, None, local, last_min) is (
        calendar.mode_at(local) is OPEN and changes[:1] == [CLOSED]
    )
