"""A self-test comes once before each opening, and daily where it never closes."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.doord.self_test import AT_LEAST_EVERY, BEFORE_OPENING, due

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
MINUTE = timedelta(minutes=1)


def runs(calendar: Calendar, start: datetime, days: float) -> list[datetime]:
    """Live through some days, asking each 10 real minutes; return when tests ran."""
    last: datetime | None = start - timedelta(hours=1)
    found = []
    for step in range(round(days * 144)):
        now = (start.astimezone(ZoneInfo("UTC")) + step * 10 * MINUTE).astimezone(COPENHAGEN)
        if due(last, calendar.opens_next(now), now):
            found.append(now)
            last = now
    return found


def test_one_run_each_morning_an_hour_before_opening() -> None:
    """From Friday to Tuesday over the night in which the clocks go forward."""
    week = ((ModeSpan(Mode.SELF_SERVICE, 7 * 60, 22 * 60),),) * 7
    found = runs(Calendar(week), datetime(2026, 3, 27, 0, 0, tzinfo=COPENHAGEN), 4)

    assert [f"{at:%d %H:%M}" for at in found] == ["27 06:00", "28 06:00", "29 06:00", "30 06:00"]


def test_an_hour_before_opening_is_a_real_one() -> None:
    """Also where the clocks go forward in that hour."""
    week = ((ModeSpan(Mode.SELF_SERVICE, 210, 1320),),) * 7
    found = runs(Calendar(week), datetime(2026, 3, 29, 0, 0, tzinfo=COPENHAGEN), 0.5)

    assert [f"{at:%d %H:%M}" for at in found] == ["29 01:30"]


def test_before_an_opening_just_after_midnight_it_runs_once() -> None:
    """On the evening before, and not again and again."""
    week = ((ModeSpan(Mode.SELF_SERVICE, 30, 600),),) * 7
    found = runs(Calendar(week), datetime(2026, 3, 2, 12, 0, tzinfo=COPENHAGEN), 2)

    assert [f"{at:%d %H:%M}" for at in found] == ["02 23:30", "03 23:30"]


def test_a_branch_that_never_closes_is_tested_once_a_day() -> None:
    """A day after the last one."""
    found = runs(Calendar(), datetime(2026, 3, 2, 12, 0, tzinfo=COPENHAGEN), 3)

    assert [f"{at:%d %H:%M}" for at in found] == ["03 11:00", "04 11:00", "05 11:00"]


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
