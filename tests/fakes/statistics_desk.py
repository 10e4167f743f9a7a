"""Counts of hours in memory; gathered and hidden by the same rules as the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from doorctl.ports import HourCount
from doorctl.privacy.statistics import Gathered, gather, period

ZONE = ZoneInfo("Europe/Copenhagen")


@dataclass
class FakeStatisticsDesk:
    """Implements `StatisticsDesk` for a branch called ``oest``."""

    counts: tuple[HourCount, ...] = ()

    def branch(self) -> str:
        """Return its id."""
        return "oest"

    def usage(self, since: date | None, until: date | None) -> Gathered:
        """Gather what lies between two days."""
        first, end = period(since, until, ZONE)
        return gather((one for one in self.counts if _is_within(one.hour, first, end)), ZONE)


def _is_within(hour: datetime | None, first: datetime | None, end: datetime | None) -> bool:
    if hour is None:
        return first is None and end is None
    return (first is None or first <= hour) and (end is None or hour < end)
