"""Tables of hourly counts that anybody may see, because small cells are hidden.

Four rules decide how counts are hidden:

- A cell below :data:`K` says only that it is below. Where nothing happened there is no cell.
- All others are rounded to the nearest :data:`ROUNDED_TO`, so that what is hidden in one table is
  not the difference of two others: of months and of hours, or of all days and all but one.
- A total adds up what is shown and nothing else. So it can't give a hidden cell away, and none has
  to be hidden beside it: with the usual total, the one hidden cell of a column is what is left
  after the others are taken away.
- A period is one month, one year or all time. With freely chosen days, the difference of two
  periods, averaged over many beginnings, was the hidden count: rounding alone is no noise.

The price is that a total may fall short; it says so. A reader of the database itself sees what is
hidden here.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from doorctl.access.calendar import WEEKDAYS
from doorctl.privacy.passages import LET_IN, OPENED, HourCount

K = 5
"""The smallest count that is shown."""

ROUNDED_TO = 5

NOT_DATED = "no clock"
"""The group of what happened while no clock could be trusted."""


class By(Enum):
    """The groups of a table; all of local time."""

    HOUR = "hour"
    """Of the day: the two hours after 02:00 of a night in October are one, as the wall says."""
    WEEKDAY = "weekday"
    MONTH = "month"
    DAY = "day"
    """For the days of one month alone: those of years would be single visits."""


LENGTH = {By.MONTH: len("2026-11"), By.DAY: len("2026-11-25")}

_Counts = dict[tuple[str, str, str], int]
"""How often, by mode, kind and outcome."""


class Cell(NamedTuple):
    """How often something happened in one group.

    `group` is an hour ("21"), a weekday, a month ("2026-03"), a date or :data:`NOT_DATED`; `count`
    is rounded, and None where it is below :data:`K`, but not 0.
    """

    group: str
    mode: str
    kind: str
    outcome: str
    count: int | None  # type: ignore[assignment] # a field, not the method of tuples


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of one outcome's shown cells; `short` where some are hidden."""

    mode: str
    kind: str
    outcome: str
    count: int
    short: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """A table in order; the cells of a group are neighbours."""

    cells: tuple[Cell, ...]

    def groups(self) -> dict[str, tuple[Cell, ...]]:
        """Return the cells by their group."""
        return {name: tuple(cells) for name, cells in groupby(self.cells, itemgetter(0))}

    @property
    def totals(self) -> tuple[Total, ...]:
        """The totals of what is shown, in order."""
        columns: defaultdict[tuple[str, str, str], list[int | None]] = defaultdict(list)
        for _, mode, kind, outcome, count in self.cells:
            columns[mode, kind, outcome].append(count)
        return tuple(
            Total(*column, sum(count or 0 for count in counts), short=None in counts)
            for column, counts in sorted(columns.items())
        )


@dataclass(frozen=True, slots=True)
class Gathered:
    """Counts by local date, by weekday from 0 for Monday and hour, and of no time at all.

    It holds true counts; its methods return only what may be shown.
    """

    counts: Mapping[date | tuple[int, int] | None, _Counts] = field(repr=False)

    def table(self, by: By) -> Statistics:
        """Return the counts of each group, in order; undated ones come last."""
        named: Iterable[tuple[str, _Counts]]
        match by:
            case By.HOUR:
                by_hour = sorted(self._week(), key=lambda item: item[0][1])
                named = ((f"{hour:02}", counts) for (_, hour), counts in by_hour)
            case By.WEEKDAY:
                named = ((WEEKDAYS[day], counts) for (day, _), counts in self._week())
            case By.MONTH | By.DAY:
                dated = ((day, at) for day, at in self.counts.items() if isinstance(day, date))
                named = ((day.isoformat()[: LENGTH[by]], counts) for day, counts in sorted(dated))
        return _tabulated([*named, (NOT_DATED, self.counts.get(None, {}))])

    def week(self) -> tuple[Statistics, ...]:
        """Return who was let in, by hour of each of the seven weekdays, Monday first."""
        named: tuple[list[tuple[str, _Counts]], ...] = tuple([] for _ in WEEKDAYS)
        for (day, hour), counts in self._week():
            let_in = {column: count for column, count in counts.items() if column[1:] == LET_IN}
            named[day].append((f"{hour:02}", let_in))
        return tuple(map(_tabulated, named))

    def _week(self) -> list[tuple[tuple[int, int], _Counts]]:
        return sorted((at, counts) for at, counts in self.counts.items() if isinstance(at, tuple))


def gather(
    counts: Iterable[HourCount],
    zone: tzinfo,
    before: Gathered | None = None,
    *,
    daily: bool = True,
) -> Gathered:
    """Gather counts by local time, with those that were gathered `before`, which stay as they are.

    If not `daily`, a month stands under its first day: days of years take 3 MB of web (measured).
    Counts may come in any order; fastest where those of an hour are neighbours. In a zone whose
    offset is no whole hour, an hour counts where it began.
    """
    gathered = defaultdict(dict, {} if before is None else before.counts)
    for at in gathered:
        gathered[at] = gathered[at].copy()
    columns = {column: column for counter in gathered.values() for column in counter}
    for hour, listed in groupby(counts, itemgetter(0)):
        into = [gathered[None]]
        if hour is not None:
            local = hour.astimezone(zone)
            day = local.date() if daily else local.date().replace(day=1)
            into = [gathered[day], gathered[local.weekday(), local.hour]]
        for _, mode, kind, outcome, count in listed:
            if kind == OPENED:
                continue
            # Years have many counters and few columns: each is held once.
            column = columns.setdefault((mode, kind, outcome), (mode, kind, outcome))
            for counter in into:
                counter[column] = counter.get(column, 0) + count
    return Gathered(gathered)


def shown(count: int) -> int | None:
    """Return a count as it may be shown; None for a hidden one."""
    return None if count < K else (count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO


COLUMNS = ("branch", "group", "mode", "kind", "outcome", "count")


def rows(branch: str, counts: Statistics) -> Iterator[tuple[str, ...]]:
    """Yield a table for a spreadsheet, its heads first."""
    yield COLUMNS
    for *names, count in counts.cells:
        yield (branch, *names, told(count))


def told(count: int | None) -> str:
    """Return a count that may be shown as text."""
    return f"<{K}" if count is None else str(count)


def widened(first_day: date | None, last_day: date | None) -> tuple[date | None, date | None]:
    """Return the month or the year that both days lie in, its last day included; else no bounds."""
    if first_day is None or last_day is None or first_day.year != last_day.year:
        return None, None
    begins, ends = first_day.replace(month=1, day=1), first_day.replace(month=12, day=31)
    if first_day.month == last_day.month:
        begins = first_day.replace(day=1)
        ends = begins.replace(day=monthrange(begins.year, begins.month)[1])
    return begins, ends


def moments(
    first_day: date | None, last_day: date | None, zone: tzinfo
) -> tuple[datetime | None, datetime | None]:
    """Return when the first day begins and when the last one is over, UTC; None is no bound."""
    after = None if last_day is None else last_day + timedelta(days=1)
    return _midnight(first_day, zone), _midnight(after, zone)


def _tabulated(named: Iterable[tuple[str, _Counts]]) -> Statistics:
    """Add up the counts of each name, and hide small ones; names stay in their order."""
    groups: defaultdict[str, _Counts] = defaultdict(dict)
    for name, counts in named:
        into = groups[name]
        for column, count in counts.items():
            into[column] = into.get(column, 0) + count
    return Statistics(
        tuple(
            Cell(name, *column, shown(count))
            for name, counts in groups.items()
            for column, count in sorted(counts.items())
            if count > 0
        )
    )


def _midnight(day: date | None, zone: tzinfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone).astimezone(UTC)
