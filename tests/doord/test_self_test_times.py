"""A self-test comes once before each opening, and daily where it never closes."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.day import opens_next
from doorctl.doord.self_test import AT_LEAST_EVERY, BEFORE_OPENING, due

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
MINUTE = timedelta(minutes=1)


def runs(calendar: Calendar, start: datetime, days: float) -> list[datetime]:
    """Live through some days, asking each 10 real minutes; return when tests ran."""
    last: datetime | None = start - timedelta(hours=1)
    found = []
    for step in range(round(days * 144)):
        now = (start.astimezone(ZoneInfo("UTC")) + step * 10 * MINUTE).astimezone(COPENHAGEN)
        if due(last, opens_next(calendar, None, now), now):
            found.append(now)
            last = now
    return found


def week(begins: int, ends: int) -> Calendar:
    """Return hours that are the same each day, in minutes."""
    return Calendar(((ModeSpan(Mode.SELF_SERVICE, begins, ends),),) * 7)


@pytest.mark.parametrize(
    ("calendar", "start", "days", "expected"),
    [
        (week(420, 1320), (27, 0), 4, ["27 06:00", "28 06:00", "29 06:00", "30 06:00"]),
        (week(210, 1320), (29, 0), 0.5, ["29 01:30"]),
        (week(30, 600), (2, 12), 2, ["02 23:30", "03 23:30"]),
        (Calendar(), (2, 12), 3, ["03 11:00", "04 11:00", "05 11:00"]),
    ],
    ids=["clocks go forward", "in that very hour", "opens after midnight", "never closes"],
)
def test_one_run_a_real_hour_before_each_opening(
    calendar: Calendar, start: tuple[int, int], days: float, expected: list[str]
) -> None:
    """Not again and again; a day after the last one where the branch never closes."""
    found = runs(calendar, datetime(2026, 3, *start, 0, tzinfo=COPENHAGEN), days)

    assert [f"{at:%d %H:%M}" for at in found] == expected


def test_while_nobody_knows_the_next_opening_none_is_due() -> None:
    """A branch that is closed for the summer wakes nobody; the missing calendar has its alarm."""
    now = datetime(2026, 7, 1, 12, 0, tzinfo=COPENHAGEN)

    assert not due(None, None, now)
    assert not due(now - timedelta(days=30), None, now)


def test_the_first_one_comes_with_the_start_if_patrons_come_soon() -> None:
    """A door that was started while it is open is tested; one that opens tomorrow waits."""
    now = datetime(2026, 3, 2, 12, 0, tzinfo=COPENHAGEN)

    assert due(None, now, now)
    assert due(None, now + BEFORE_OPENING, now)
    assert not due(None, now + BEFORE_OPENING + MINUTE, now)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(COPENHAGEN)),  # noqa: DTZ001 - the zone is hypothesis's to add
    st.timedeltas(timedelta(0), timedelta(days=14)),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_none_is_due_twice(now: datetime, ahead: timedelta, later: timedelta) -> None:
    """Right after a run, and until the same opening, no other is due."""
    utc = ZoneInfo("UTC")
    opens = (now.astimezone(utc) + ahead).astimezone(COPENHAGEN)
    at = (now.astimezone(utc) + later).astimezone(COPENHAGEN)
    if not due(None, opens, now):
        return

    assert not due(now, opens, now)
    if later < AT_LEAST_EVERY:
        assert not due(now, max(opens, at), at) or opens < at
