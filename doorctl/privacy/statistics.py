"""From hourly counts to a table that may be shown to anybody: small cells are hidden.

What counts is hidden behind is decided by three rules:

- A cell below :data:`K` says only that it is below. None is left out for being 0: nothing stands
  where nothing happened.
- All others are rounded to the nearest :data:`ROUNDED_TO`, so that what is hidden in one table is
  not the difference of two others: of months and of hours, or of all days and all but one.
- A total adds up what is shown and nothing else. So it can't give a hidden cell away, and none has
  to be hidden beside it: with the usual total, the one hidden cell of a column is what is left
  after the others are taken away.

The price is that a total may fall short; it says so. Periods begin and end with whole days, for
the same reason as the rounding. Who can read the database itself reads what is hidden here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import Enum
from types import MappingProxyType

from doorctl.ports import HourCount

K = 5
"""The smallest count that is told."""

ROUNDED_TO = 5

NOT_DATED = "no clock"
"""The group of what happened while no clock could be trusted."""


class By(Enum):
    """What hours are gathered into; all of local time."""

    HOUR = "hour"
    """Of the day: the two hours after 02:00 of a night in October are one, as the wall says."""
    WEEKDAY = "weekday"
    MONTH = "month"


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_Group = tuple[str, str]
"""How it is sorted, and what it is called."""

_GROUPS: Mapping[By, Callable[[datetime], _Group]] = MappingProxyType(
    {
        By.HOUR: lambda local: (f"{local:%H}", f"{local:%H}"),
        By.WEEKDAY: lambda local: (str(local.weekday()), WEEKDAYS[local.weekday()]),
        By.MONTH: lambda local: (f"{local:%Y-%m}", f"{local:%Y-%m}"),
    }
)
_LAST: _Group = ("~", NOT_DATED)


@dataclass(frozen=True, slots=True)
class Cell:
    """How often something happened in one group.

    Args:
        group: an hour ("21"), a weekday, a month ("2026-03") or :data:`NOT_DATED`.
        mode: what the branch was.
        kind: see `HourCount`.
        outcome: as there.
        count: rounded; None where it is below :data:`K`, but not 0.
    """

    group: str
    mode: str
    kind: str
    outcome: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Total:
    """What the shown cells of one outcome come to; `short` where some are hidden."""

    mode: str
    kind: str
    outcome: str
    count: int
    short: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """A table and its totals, both in order."""

    cells: tuple[Cell, ...]
    totals: tuple[Total, ...]


def tabulate(counts: Iterable[HourCount], by: By, zone: tzinfo) -> Statistics:
    """Gather counts into groups and hide what is small.

    Args:
        counts: of any hours, in any order.
        by: what into.
        zone: the branch's; in one whose offset is no whole hour an hour counts where it began.
    """
    found: Counter[tuple[_Group, str, str, str]] = Counter()
    for one in counts:
        group = _LAST if one.hour is None else _GROUPS[by](one.hour.astimezone(zone))
        found[group, one.mode, one.kind, one.outcome] += one.count
    cells = tuple(
        Cell(group[1], mode, kind, outcome, shown(count))
        for (group, mode, kind, outcome), count in sorted(found.items())
        if count > 0
    )
    return Statistics(cells, _totals(cells))


def shown(count: int) -> int | None:
    """Return a count as it may be shown, None for one that may not."""
    return None if count < K else (count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO


def period(
    first_day: date | None, last_day: date | None, zone: tzinfo
) -> tuple[datetime | None, datetime | None]:
    """Return whole days of local time as UTC; the end is not included. None is no bound."""
    after = None if last_day is None else last_day + timedelta(days=1)
    return _midnight(first_day, zone), _midnight(after, zone)


def _totals(cells: Iterable[Cell]) -> tuple[Total, ...]:
    columns: dict[tuple[str, str, str], list[int | None]] = {}
    for cell in cells:
        columns.setdefault((cell.mode, cell.kind, cell.outcome), []).append(cell.count)
    return tuple(
        Total(*column, sum(count or 0 for count in counts), short=None in counts)
        for column, counts in sorted(columns.items())
    )


def _midnight(day: date | None, zone: tzinfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone).astimezone(UTC)
