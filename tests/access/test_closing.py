from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.closing import no_entry, warnings_due
from doorctl.access.modes import Override
from tests.access.calendars import CLOSED, OPEN, STAFFED, at, calendars, every_day, times

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))
WARN = (5, 10, 15)
TICK = timedelta(microseconds=1)


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


def due(earlier: str, later: str, calendar: Calendar = LIBRARY) -> tuple[int, ...]:
    """Return the warnings due between two times of Christmas Eve."""
    return warnings_due(
        calendar, None, at(f"2026-12-24T{earlier}"), at(f"2026-12-24T{later}"), WARN
    )


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("21:44:59", "21:45:00", (15,)),
        ("21:45:00", "21:45:01", ()),
        ("21:45:00", "21:50:00", (10,)),
        ("21:44:00", "22:30:00", (15, 10, 5)),
        ("22:00:00", "23:59:00", ()),
        ("17:40:00", "18:10:00", ()),
        ("09:40:00", "10:10:00", ()),
    ],
)
def test_warnings_come_once_before_patrons_must_be_out(
    earlier: str, later: str, expected: tuple[int, ...]
) -> None:
    """Each is due at one instant, before closed only; none where staff come or go."""
    assert due(earlier, later) == expected


def test_nobody_is_warned_who_can_not_be_in() -> None:
    """Where it opened only seven minutes before, just the last warning is due."""
    assert due("21:30", "22:00", every_day(ModeSpan(OPEN, 1313, 1320))) == (5,)


def test_staffed_hours_that_end_in_closed_are_warned_of() -> None:
    """Who is in must be out then as well."""
    assert due("17:00", "18:00", every_day(ModeSpan(STAFFED, 600, 1080))) == (15, 10, 5)


def test_warnings_by_what_staff_have_set() -> None:
    """The end that staff have set is warned of, and the one it replaces is not."""
    late = Override(OPEN, at("2026-12-24T23:00"))
    start, end = at("2026-12-24T21:00"), at("2026-12-24T23:30")

    assert warnings_due(LIBRARY, late, start, at("2026-12-24T22:30"), WARN) == ()
    assert warnings_due(LIBRARY, late, start, end, WARN) == (15, 10, 5)
    assert warnings_due(LIBRARY, None, start, end, ()) == ()


def test_a_lockdown_comes_without_a_warning() -> None:
    """Nothing is due while nobody comes in."""
    lockdown = Override(Mode.LOCKDOWN, at("2026-12-24T23:00"))

    assert (
        warnings_due(LIBRARY, lockdown, at("2026-12-24T21:00"), at("2026-12-24T22:59"), WARN) == ()
    )


@given(calendars, times(), st.lists(st.integers(0, 90), min_size=1, max_size=6))
def test_asking_more_often_tells_the_same(
    calendar: Calendar, local: datetime, steps: list[int]
) -> None:
    """Cut anywhere, a stretch of time has the warnings of its parts."""
    marks = [local.astimezone(UTC)]
    for step in steps:
        marks.append(marks[-1] + timedelta(minutes=step))
    walls = [mark.astimezone(local.tzinfo) for mark in marks]
    parts = [
        set(warnings_due(calendar, None, earlier, later, WARN))
        for earlier, later in pairwise(walls)
    ]

    assert set().union(*parts) == set(warnings_due(calendar, None, walls[0], walls[-1], WARN))


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
