"""How much the door is used, drawn and in tables: no person can be identified by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import WEEKDAYS, Mode
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.lookup.app import App
from doorctl.privacy.passages import ATTEMPT, LEAF
from doorctl.privacy.statistics import NOT_DATED, By, Cell, K, Statistics, rows, widened
from doorctl.services import statistics, visits
from doorctl.services.hours import hours_now
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff.charts import HEIGHT, bars
from doorctl.web.staff.filled_in import day
from doorctl.web.staff.spreadsheet import table_of
from doorctl.web.words import WEEKDAYS as WEEKDAY_NAMES
from doorctl.web.words import Words

Period = tuple[date | None, date | None]
"""Whole local days, both included; None is no bound."""


def read_period(form: Form, today: date) -> Period:
    """Return the past period that `since` and `until` give; an empty field is no bound.

    Raises InputError for what is no date, or where the last day lies before the first.
    """
    first, last = (day(form, end, today, past=True) for end in ("since", "until"))
    if first is not None and last is not None and last < first:
        raise InputError("the last day lies before the first")
    return first, last


OK: Final = "ok"
HOURS: Final = tuple(f"{hour:02}" for hour in range(24))
YEAR: Final = len(".2026")
"""Characters of the year, which every language writes last and a bar's name leaves out."""

SHADES: Final = 4
"""Shades of a week's squares besides the empty one; each square has its number too."""

ENTERED: Final = "entered"
SERIES: Mapping[str, str] = {
    "granted": "Let in",
    "refused": "Refused",
    ENTERED: "People who came in",
}
"""The series that are drawn, in this order, and their names in English."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number that is shown; `short` where part or all of it is hidden."""

    number: int = 0
    short: bool = False

    def text(self, words: Words) -> str:
        """Return the count as text: "<5", "120" or "120+"."""
        if self.short and not self.number:
            return f"<{K}"
        return words.number(self.number) + ("+" if self.short else "")


@dataclass(frozen=True, slots=True)
class Group:
    """One hour, weekday, day or month, with a count for each of :data:`SERIES`.

    `short_name` stands below a bar, else `name` does.
    """

    name: str
    counts: Mapping[str, Count]
    short_name: str = ""


def chart(words: Words, by: By, title: str, table: Statistics) -> dict[str, Any]:
    """Return a table's picture with every hour or weekday, or the months or days with counts.

    `title` is in English; `table` must hide its small counts already. `key` is unique on the page;
    `series` are those of :data:`SERIES` that the branch counts.
    """
    cells = table.groups()
    groups = [_group(words, by, name, cells.get(name, ())) for name in _names(by, cells)]
    # Without a door contact a branch can't count people.
    enters = any(group.counts[ENTERED] != Count() for group in groups)
    series = {name: text for name, text in SERIES.items() if name != ENTERED or enters}
    columns = [
        (group.short_name or group.name, [group.counts[name].number for name in series])
        for group in groups
    ]
    drawn = bars(columns)
    return {"key": by.value, "title": title, "groups": groups, "series": series, "drawn": drawn}


def week(words: Words, days: Sequence[Statistics]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return who was let in, by weekday and hour: each square's text, and its shade."""
    tables = [table.groups() for table in days]
    counts = [[_counts(of.get(hour, ()))["granted"] for hour in HOURS] for of in tables]
    most = max((count.number for row in counts for count in row), default=0) or 1

    def square(count: Count) -> tuple[str, int]:
        shown = "" if count == Count() else count.text(words)
        return shown, -(-count.number * SHADES // most)

    named = zip(WEEKDAY_NAMES, counts, strict=True)
    return [(words.say(name), [square(count) for count in row]) for name, row in named]


def _names(by: By, groups: Collection[str]) -> Sequence[str]:
    last = (NOT_DATED,) if NOT_DATED in groups else ()
    if by in {By.MONTH, By.DAY}:
        return (*sorted({*groups} - {NOT_DATED}), *last)
    return (*(HOURS if by is By.HOUR else WEEKDAYS), *last)


def _counts(cells: Iterable[Cell]) -> Mapping[str, Count]:
    told: dict[str | None, list[int | None]] = {series: [] for series in SERIES}
    for cell in cells:
        told.setdefault(_series(cell), []).append(cell.count)
    return {
        series: Count(sum(n or 0 for n in told[series]), None in told[series]) for series in SERIES
    }


def _series(cell: Cell) -> str | None:
    if cell.kind == ATTEMPT:
        return "granted" if cell.outcome == OK else "refused"
    return ENTERED if cell.kind == LEAF and cell.outcome == "entered" else None


def _group(words: Words, by: By, name: str, cells: Iterable[Cell]) -> Group:
    short = ""
    if name == NOT_DATED:
        name = words.say("Time not known")
    elif by is By.WEEKDAY:
        name = words.say(WEEKDAY_NAMES[WEEKDAYS.index(name)])
    elif by is By.MONTH:
        first = date.fromisoformat(f"{name}-01")
        month = words.month(first)
        name, short = f"{month} {first.year}", f"{month[:3]} {first.year}"
    elif by is By.DAY:
        name = words.short_day(date.fromisoformat(name))
        short = name[:-YEAR]
    return Group(name, _counts(cells), short)


PAGE: Final = "/statistics"
Kept = dict[visits.Span, statistics.Settled]
MOST_DAYS: Final = 31
"""The longest period in which each day has a bar of its own."""

TITLES: Final = ((By.HOUR, "By hour"), (By.WEEKDAY, "By weekday"), (By.MONTH, "By month"))
DAYS: Final = (By.DAY, "By day")


def statistics_pages(frame: Frame, kept: Kept | None = None) -> tuple[BaseRoute, ...]:
    """Return the routes that show counts; `kept` are sums that were made before the first look."""
    see, shown = Permission.SEE_STATISTICS, partial(_page, Kept() if kept is None else kept)
    return (frame.guarded(PAGE, shown, see), frame.guarded(f"{PAGE}.csv", _csv, see))


async def _page(kept: Kept, request: PageRequest) -> Response:
    period: Period = (None, None)
    wrong = ""
    try:
        period = _period(request)
    except InputError as error:
        wrong = request.words.refusal(error)
    drawn = {} if wrong else await request.call(_pictures, kept, request.words, period)
    return request.page(
        "statistics.html",
        **({"charts": (), "week": None, "staffed": ()} | drawn),
        chosen=_chosen(request, period, wrong),
        wrong=wrong,
        hours=HOURS,
        height=HEIGHT,
        least=K,
    )


async def _csv(request: PageRequest) -> Response:
    period, name = _period(request), request.query("by")
    by = next((by for by, _ in TITLES if by.value == name), By.HOUR)
    written = await request.call(_written, period, by)
    return request.file(f"doorctl-{by.value}.csv", written, "text/csv")


def _written(app: App, period: Period, by: By) -> str:
    return table_of(rows(app.config.branch.id, statistics.statistics(app, *period).table(by)))


def _pictures(app: App, kept: Kept, words: Words, period: Period) -> dict[str, Any]:
    """Return all pictures of a period; years take a while, so it is off the event loop."""
    usage = statistics.statistics(app, *period, kept)
    first, last = period
    wanted = (*TITLES, DAYS) if first and last and (last - first).days < MOST_DAYS else TITLES
    charts = [chart(words, by, title, usage.table(by)) for by, title in wanted]
    return {"charts": charts, "week": week(words, usage.week()), "staffed": staffed(app)}


def staffed(app: App) -> list[set[int]]:
    """Return the hours that are staffed to their end, by weekday: the door counts no one then."""
    return [
        {
            hour
            for span in spans
            if span.mode is Mode.STAFFED
            for hour in range(-(-span.starts // 60), span.ends // 60)
        }
        for spans in hours_now(app).calendar.week or ((),) * 7
    ]


def _period(request: PageRequest) -> Period:
    return widened(*read_period(request.queried, request.today))


def _chosen(request: PageRequest, period: Period, wrong: str) -> dict[str, str]:
    days = zip(("since", "until"), period, strict=True)
    if wrong:
        return {name: request.query(name) for name, _ in days}
    return {name: "" if day is None else request.words.short_day(day) for name, day in days}
