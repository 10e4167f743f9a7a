from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, ModeSpan
from doorctl.access.day import Override, no_entry
from tests.access.calendars import CLOSED, OPEN, STAFFED, at, calendars, every_day, times

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))


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
