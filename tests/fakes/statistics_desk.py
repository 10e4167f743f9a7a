"""Counts of hours in memory; gathered and hidden by the same rules as the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from doorctl.ports import HourCount
from doorctl.privacy.statistics import WEEKDAYS, By, Statistics, period, tabulate

ZONE = ZoneInfo("Europe/Copenhagen")


@dataclass
class FakeStatisticsDesk:
    """Implements `StatisticsDesk` for a branch called ``oest``."""

    counts: tuple[HourCount, ...] = ()

    def branch(self) -> str:
        """Return its id."""
        return "oest"

    def table(self, since: date | None, until: date | None, by: By) -> Statistics:
        """Gather what lies between two days."""
        found = self._between(since, until)
        undated = [
            one for one in self.counts if one.hour is None and (since, until) == (None, None)
        ]
        return tabulate([*(one for _, one in found), *undated], by, ZONE)

    def days(self, since: date, until: date) -> tuple[tuple[date, Statistics], ...]:
        """Gather each day."""
        found = self._between(since, until)
        listed = sorted({at.date() for at, _ in found})
        return tuple((day, _table(found, day, By.MONTH)) for day in listed)

    def week(self, since: date | None, until: date | None) -> tuple[Statistics, ...]:
        """Gather each weekday."""
        found = self._between(since, until)
        return tuple(
            tabulate([one for at, one in found if at.weekday() == day], By.HOUR, ZONE)
            for day in range(len(WEEKDAYS))
        )

    def _between(self, since: date | None, until: date | None) -> list[tuple[datetime, HourCount]]:
        first, end = period(since, until, ZONE)
        return [
            (one.hour.astimezone(ZONE), one)
            for one in self.counts
            if one.hour is not None
            and (first is None or first <= one.hour)
            and (end is None or one.hour < end)
        ]


def _table(found: list[tuple[datetime, HourCount]], day: date, by: By) -> Statistics:
    return tabulate([one for at, one in found if at.date() == day], by, ZONE)
