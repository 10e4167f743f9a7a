"""When the clocks are changed, in zones where that is not like here."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.calendar import clock_change


@pytest.mark.parametrize(
    ("zone", "day", "changed"),
    [
        ("Europe/Copenhagen", date(2026, 3, 29), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("Europe/Copenhagen", date(2026, 10, 25), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)),
        ("Australia/Lord_Howe", date(2026, 10, 4), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ],
)
def test_the_clocks_are_changed_at_an_instant_of_the_branchs_own_day(
    zone: str, day: date, changed: datetime
) -> None:
    """To the minute, by the branch's midnight and not by the machine's."""
    assert [*clock_change(day, ZoneInfo(zone))] == [changed]


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 3, 30), date(2026, 7, 1)])
def test_on_other_days_they_are_not(day: date) -> None:
    """Neither the day before nor the day after."""
    assert [*clock_change(day, ZoneInfo("Europe/Copenhagen"))] == []
