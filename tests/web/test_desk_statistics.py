"""Counts: the same of the desk in memory and of the one over a real visits.db."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from doorctl.ports import ATTEMPT, HourCount
from doorctl.privacy.statistics import By
from doorctl.services.app import visits_db
from doorctl.store.visits import VisitStore
from doorctl.web.desks import StatisticsDesk
from doorctl.wiring.desks import CountsDesk
from tests.bootstrap.branches import initialised
from tests.fakes.statistics_desk import FakeStatisticsDesk

MONDAY, LATE_MONDAY = date(2026, 3, 2), datetime(2026, 3, 2, 23, tzinfo=UTC)


def counted(hour: datetime | None, count: int) -> HourCount:
    """Return how many were let in, in an hour."""
    return HourCount(hour, "self_service", ATTEMPT, "ok", count)


COUNTS = (
    counted(datetime(2026, 3, 2, 18, tzinfo=UTC), 12),
    # By the branch's clock this is Tuesday.
    counted(LATE_MONDAY, 7),
    counted(datetime(2026, 3, 9, 18, tzinfo=UTC), 3),
    counted(None, 20),
)


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> StatisticsDesk:
    """Either desk."""
    if request.param == "fake":
        return FakeStatisticsDesk(COUNTS)
    config = initialised(tmp_path, "branch.id=oest")
    with closing(VisitStore(visits_db(config))) as store:
        store.add_counts(list(COUNTS))
    return CountsDesk(config)


def test_days_are_the_branchs_own(desk: StatisticsDesk) -> None:
    """By local time, each rounded and hidden by itself; a day without counts is not there."""
    days = desk.usage(MONDAY, date(2026, 3, 31)).by_day()

    assert [(day, [cell.count for cell in table.cells]) for day, table in days] == [
        (MONDAY, [10]),
        (date(2026, 3, 3), [5]),
        (date(2026, 3, 9), [None]),
    ]


def test_a_week_gathers_the_same_weekdays(desk: StatisticsDesk) -> None:
    """Mondays are counted together before anything is hidden; Monday is first."""
    found = [
        [(cell.group, cell.count) for cell in day.cells] for day in desk.usage(None, None).week()
    ]

    assert found == [[("19", 15)], [("00", 5)], [], [], [], [], []]


def test_a_day_stands_for_its_month(desk: StatisticsDesk) -> None:
    """Nothing less can be asked for; what has no time is there only where no period is."""
    one_day = desk.usage(MONDAY, MONDAY).table(By.HOUR)
    everything = desk.usage(None, None).table(By.MONTH)

    assert [(cell.group, cell.count) for cell in one_day.cells] == [("00", 5), ("19", 15)]
    assert [(cell.group, cell.count) for cell in everything.cells] == [
        ("2026-03", 20),
        ("no clock", 20),
    ]
    assert desk.branch() == "oest"
