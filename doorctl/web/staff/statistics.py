"""The page of how much the door is used: counts that name nobody, drawn and in tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.privacy.statistics import By, Cell, Gathered, K, widened
from doorctl.web.desks import StatisticsDesk
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import Words
from doorctl.web.staff.bars import HEIGHT
from doorctl.web.staff.log_export import MARK, SEPARATOR
from doorctl.web.staff.period import Period, read_period
from doorctl.web.staff.statistics_charts import HOURS, Chart, Week, chart, days_chart, week

PAGE: Final = "/statistics"
MOST_DAYS: Final = 31
"""Of a month each day has a bar of its own."""

TITLES: Final = ((By.HOUR, "By hour"), (By.WEEKDAY, "By weekday"), (By.MONTH, "By month"))


@dataclass(frozen=True, slots=True)
class Drawn:
    """All pictures of a period, made beside the event loop: years of hours take a while."""

    charts: Sequence[Chart] = ()
    week: Week | None = None


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
        try:
            period, wrong = _period(asked), ""
        except InputError as error:
            period, wrong = Period(), str(error)
        drawn = Drawn() if wrong else await asked.aside(self._drawn, asked.words, period)
        return asked.page(
            "statistics.html",
            422 if wrong else 200,
            charts=drawn.charts,
            week=drawn.week,
            chosen=_chosen(asked, period, wrong),
            wrong=wrong,
            hours=HOURS,
            height=HEIGHT,
            least=K,
            no_days=not wrong and not _is_short(period),
        )

    async def _csv(self, asked: PageRequest) -> Response:
        period, name = _period(asked), asked.asked("by")
        by = By(name) if name in {one.value for one in By} else By.HOUR
        headers = {"Content-Disposition": f'attachment; filename="doorctl-{by.value}.csv"'}
        written = await asked.aside(self._written, period, by)
        return Response(written, media_type="text/csv", headers=headers)

    def _drawn(self, words: Words, period: Period) -> Drawn:
        usage = self._desk.usage(period.since, period.until)
        return Drawn(_charts(words, period, usage), week(words, usage.week()))

    def _written(self, period: Period, by: By) -> str:
        cells = self._desk.usage(period.since, period.until).table(by).cells
        return _as_csv(self._desk.branch(), cells)


def _charts(words: Words, period: Period, usage: Gathered) -> list[Chart]:
    charts = [chart(words, by, title, usage.table(by)) for by, title in TITLES]
    if _is_short(period):
        charts.append(days_chart(words, "By day", usage.by_day()))
    return charts


def _period(asked: PageRequest) -> Period:
    days = read_period(asked.asked("since"), asked.asked("until"))
    return Period(*widened(days.since, days.until))


def _chosen(asked: PageRequest, period: Period, wrong: str) -> dict[str, str]:
    if wrong:
        return {name: asked.asked(name) for name in ("since", "until")}
    days = {"since": period.since, "until": period.until}
    return {name: "" if day is None else day.isoformat() for name, day in days.items()}


def _is_short(period: Period) -> bool:
    if period.since is None or period.until is None:
        return False
    return (period.until - period.since).days < MOST_DAYS


def _as_csv(branch: str, cells: Sequence[Cell]) -> str:
    """Return what `doorctl statistics --csv` prints, as Danish spreadsheets open it."""
    written = io.StringIO()
    csv.writer(written, delimiter=SEPARATOR).writerows(_rows(branch, cells))
    return MARK + written.getvalue()


def _rows(branch: str, cells: Sequence[Cell]) -> Iterator[tuple[str, ...]]:
    yield ("branch", "group", "mode", "kind", "outcome", "count")
    for cell in cells:
        count = f"<{K}" if cell.count is None else str(cell.count)
        yield (branch, cell.group, cell.mode, cell.kind, cell.outcome, count)
