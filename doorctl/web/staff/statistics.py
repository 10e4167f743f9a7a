"""The page of how much the door is used: counts that name nobody, drawn and in tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission
from doorctl.ports import ATTEMPT, LEAF
from doorctl.privacy.statistics import NOT_DATED, WEEKDAYS, By, Cell, K, Statistics
from doorctl.web.desks import StatisticsDesk
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import WEEKDAYS as WEEKDAY_NAMES
from doorctl.web.pages.words import Words
from doorctl.web.staff.bars import Bars, Column, bars

PAGE: Final = "/statistics"
OK: Final = "ok"
HOURS: Final = tuple(f"{hour:02}" for hour in range(24))

SERIES: Mapping[str, str] = MappingProxyType(
    {"granted": "Let in", "refused": "Refused", "entered": "People who came in"}
)
"""What is drawn, in the order in which it is, and what it is called."""


@dataclass(frozen=True, slots=True)
class Group:
    """One hour, weekday or month.

    Args:
        name: as it is shown.
        counts: of each of :data:`SERIES`; None where one of its cells is hidden.
    """

    name: str
    counts: Mapping[str, int]
    short: frozenset[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and the same as a table."""

    title: str
    by: By
    groups: tuple[Group, ...]
    drawn: Bars


class StatisticsPages:
    """Show counts.

    Args:
        frame: around each page.
        desk: the counts.
    """

    def __init__(self, frame: Frame, desk: StatisticsDesk) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        see = Permission.SEE_STATISTICS
        return (
            self._frame.guarded(PAGE, self._page, see),
            self._frame.guarded(f"{PAGE}.csv", self._csv, see),
        )

    async def _page(self, asked: PageRequest) -> Response:
        since, until = _period(asked)
        titles = ((By.HOUR, "By hour"), (By.WEEKDAY, "By weekday"), (By.MONTH, "By month"))
        charts = []
        for by, title in titles:
            table = await asked.aside(self._desk.table, since, until, by)
            charts.append(_chart(asked.words, title, by, table))
        return asked.page(
            "statistics.html", charts=charts, since=since, until=until, series=SERIES, least=K
        )

    async def _csv(self, asked: PageRequest) -> Response:
        since, until = _period(asked)
        name = asked.asked("by")
        by = By(name) if name in {one.value for one in By} else By.HOUR
        table = await asked.aside(self._desk.table, since, until, by)
        headers = {"Content-Disposition": f'attachment; filename="doorctl-{by.value}.csv"'}
        return Response(_as_csv(table.cells), media_type="text/csv", headers=headers)


def _chart(words: Words, title: str, by: By, table: Statistics) -> Chart:
    groups = tuple(_group(words, by, name, table) for name in _names(by, table))
    columns = [Column(one.name, tuple(one.counts[name] for name in SERIES)) for one in groups]
    return Chart(title, by, groups, bars(columns))


def _names(by: By, table: Statistics) -> Sequence[str]:
    found = {cell.group for cell in table.cells}
    last = (NOT_DATED,) if NOT_DATED in found else ()
    if by is By.HOUR:
        return (*HOURS, *last)
    if by is By.WEEKDAY:
        return (*WEEKDAYS, *last)
    return (*sorted(found - {NOT_DATED}), *last)


def _group(words: Words, by: By, name: str, table: Statistics) -> Group:
    counts = dict.fromkeys(SERIES, 0)
    short: set[str] = set()
    for cell in table.cells:
        series = _series(cell)
        if cell.group != name or series is None:
            continue
        counts[series] += cell.count or 0
        if cell.count is None:
            short.add(series)
    return Group(_shown(words, by, name), counts, frozenset(short))


def _series(cell: Cell) -> str | None:
    if cell.kind == ATTEMPT:
        return "granted" if cell.outcome == OK else "refused"
    return "entered" if cell.kind == LEAF and cell.outcome == "entered" else None


def _shown(words: Words, by: By, name: str) -> str:
    if name == NOT_DATED:
        return words.say("Time not known")
    if by is By.WEEKDAY:
        return words.say(WEEKDAY_NAMES[WEEKDAYS.index(name)])
    if by is By.MONTH:
        day = date.fromisoformat(f"{name}-01")
        return f"{words.month(day)} {day.year}"
    return name


def _period(asked: PageRequest) -> tuple[date | None, date | None]:
    return _date(asked.asked("since")), _date(asked.asked("until"))


def _date(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _as_csv(cells: Sequence[Cell]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(_rows(cells))
    return written.getvalue()


def _rows(cells: Sequence[Cell]) -> Iterator[tuple[str, ...]]:
    yield ("group", "mode", "kind", "outcome", "count")
    for cell in cells:
        count = f"<{K}" if cell.count is None else str(cell.count)
        yield (cell.group, cell.mode, cell.kind, cell.outcome, count)
