"""How much the door is used, by the counts of a real visits.db."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import pytest

from doorctl.privacy.statistics import ATTEMPT, By, HourCount
from doorctl.services import visits
from doorctl.services.app import App
from doorctl.store.door_log import HourlyHistory
from doorctl.store.visits import VisitStore
from tests.web.addresses import built
from tests.web.conftest import Apps

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


@pytest.fixture
def app(apps: Apps) -> App:
    """A small branch that counted something."""
    app = apps()
    with closing(VisitStore(app.storage.visits_db)) as store:
        store.add_counts(list(COUNTS))
    return app


def test_a_week_gathers_the_same_weekdays(app: App) -> None:
    """Mondays are counted together before anything is hidden; Monday is first."""
    found = [
        [(cell.group, cell.count) for cell in day.cells]
        for day in visits.statistics(app, None, None).week()
    ]

    assert found == [[("19", 15)], [("00", 5)], [], [], [], [], []]


def test_kept_sums_of_years_never_tell_another_figure(app: App) -> None:
    """Neither once more was counted, nor after a count of long ago that was written late."""
    kept: dict[visits.Span, visits.Settled] = {}
    spans: tuple[tuple[date | None, date | None], ...] = (
        (None, None),
        (MONDAY, MONDAY),
        (MONDAY, date(2026, 4, 1)),
    )
    for more in (0, 0, 30, 7):
        with closing(VisitStore(app.storage.visits_db)) as store:
            store.add_counts([counted(LATE_MONDAY, more), counted(datetime.now(UTC), more)])
        for span in spans:
            whole = visits.statistics(app, *span)
            for found in (visits.statistics(app, *span, kept) for _ in range(2)):
                every = [by for by in By if by is not By.DAY]
                assert [found.table(by) for by in every] == [whole.table(by) for by in every]
                assert found.week() == whole.week()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[HourCount]:
    """All counts that are read from now on."""
    read: list[HourCount] = []
    hours = HourlyHistory.hours

    def noted(self: HourlyHistory, *span: Any) -> Iterator[HourCount]:
        """Read, and keep what was read."""
        found = list(hours(self, *span))
        read.extend(found)
        return iter(found)

    monkeypatch.setattr(HourlyHistory, "hours", noted)
    return read


def test_hours_long_over_are_read_once(app: App, read: list[HourCount]) -> None:
    """Their sums are kept until one of them changes, so that three years cost no more than days.

    Bug (speed of the pages): the page of statistics read and added up every hour of three years.
    """
    kept: dict[visits.Span, visits.Settled] = {}
    reads = []
    for _ in range(2):
        visits.statistics(app, None, None, kept)
        reads.append(len(read))
        read.clear()

    assert reads == [len(COUNTS), 0]


def test_the_first_look_after_a_start_waits_for_no_years(app: App, read: list[HourCount]) -> None:
    """Web adds them up by itself once it is ready; it goes on where there is no door log yet.

    Bug (speed of the pages): the first look after a start took half a second, and its memory was
    never given back.
    """
    with built(app.config) as pages:
        pages.warm_up()
        app.storage.visits_db.unlink()
        pages.warm_up()

    assert sorted(read, key=repr) == sorted(COUNTS, key=repr)
