"""How much the door is used, drawn and in tables: by the door log, and in counts of nobody."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import ONE_DAY, WEEKDAYS, Mode
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.lookup.app import App
from doorctl.privacy.passages import ATTEMPT, LEAF
from doorctl.privacy.statistics import NOT_DATED, By, Cell, K, Statistics, rows, widened
from doorctl.services import visits
from doorctl.services.hours import hours_now
from doorctl.services.visits import ModeBand, Picture
from doorctl.store.door_log import Slot
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff.filled_in import day
from doorctl.web.words import MODES, Words
from doorctl.web.words import WEEKDAYS as WEEKDAY_NAMES

SEPARATOR: Final = ";"
"""Where decimals have a comma, as in Danish, spreadsheets do not separate cells by commas."""

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""The byte order mark, by which Excel recognises UTF-8."""


def table_of(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV that Danish spreadsheets open by themselves."""
    written = io.StringIO()
    csv.writer(written, delimiter=SEPARATOR).writerows(rows)
    return MARK + written.getvalue()


STEPS: Final = (1, 2, 3, 4, 5, 8)
MARKS: Final = 4


def scale_of(counts: Iterable[int]) -> int:
    """Return the top of a scale: a round number of four equal parts, not below any count."""
    highest, size = max(counts, default=0), MARKS
    while True:
        for step in STEPS:
            if size * step >= highest:
                return size * step
        size *= 10


# The door log's picture of a span, as numbers for an SVG.

LEFT: Final = 44
WIDTH: Final = 864
RIGHT: Final = 44
TOP: Final = 12
ABOVE: Final = 100
BELOW: Final = 56
BAND: Final = 22
GAP: Final = 24
"""Room for the hours between the bars and the band."""

BASE: Final = TOP + ABOVE
BAND_Y: Final = BASE + BELOW + GAP
ROOM_FOR_NAME: Final = 90
"""A narrower band shows no name; the legend names all bands."""

MOST_NAMES: Final = 13
"""Names of hours or days that stand beside each other."""


def timeline(words: Words, shown: Picture, now: datetime) -> dict[str, Any]:
    """Return the picture of a span at a moment, with the table's rows.

    `marks` are y and number of each mark of the scale on the left, `marks_inside` on the right.
    `inside` are the points of the head-count's line, as SVG writes them; both are empty where the
    head-count is not known. `names` are x and name of hours or days; `now` is x of this moment,
    None in another time. `modes` has each mode of the bands with its English name, in order.
    """
    high = scale_of(slot.granted for slot in shown.slots)
    low = scale_of(slot.refused for slot in shown.slots)
    most = scale_of(count for _, count in shown.inside)
    unit = min(ABOVE / high, BELOW / low)
    bands = [_band(shown, band) for band in shown.bands]
    rows = list(_rows(words, shown))
    every = -(-len(rows) // MOST_NAMES)
    return {
        "bars": [bar for slot in shown.slots for bar in _bars(shown, slot, unit)],
        "bands": bands,
        "modes": {band["mode"]: band["name"] for band in bands},
        "marks": [(_y(count, unit), abs(count)) for count in (high, high // 2, 0, -low)],
        "marks_inside": [
            (_y(count, ABOVE / most), count) for count in (most, most // 2, 0) if shown.inside
        ],
        "inside": " ".join(f"{_x(shown, at)},{_y(n, ABOVE / most)}" for at, n in shown.inside),
        "names": [(_x(shown, row["begins"]), row["mark"]) for row in rows[::every]],
        "now": _x(shown, now) if shown.since <= now < shown.until else None,
        "rows": rows,
        "granted": sum(slot.granted for slot in shown.slots),
        "refused": sum(slot.refused for slot in shown.slots),
        "width": LEFT + WIDTH + RIGHT,
        "height": BAND_Y + BAND + 4,
    }


def _bars(shown: Picture, slot: Slot, unit: float) -> Iterator[dict[str, Any]]:
    x = _x(shown, slot.starts) + 1
    width = round(max(2, _x(shown, slot.starts + shown.step) - x - 1), 1)
    up, down = round(slot.granted * unit, 1), round(slot.refused * unit, 1)
    if slot.granted:
        yield {"x": x, "y": round(BASE - up, 1), "width": width, "height": up, "granted": True}
    if slot.refused:
        yield {"x": x, "y": BASE, "width": width, "height": down, "granted": False}


def _band(shown: Picture, band: ModeBand) -> dict[str, Any]:
    x, mode = _x(shown, band.starts), band.mode
    width = round(_x(shown, band.ends) - x, 1)
    named = width >= ROOM_FOR_NAME
    return {"x": x, "width": width, "mode": mode.value, "name": MODES[mode], "named": named}


def _rows(words: Words, shown: Picture) -> Iterator[dict[str, Any]]:
    """Yield the numbers of each hour, of each day of a long span."""
    ends, by_hour = dict(shown.inside), shown.step < visits.HOUR
    for begins, stops in pairwise(_edges(words, shown)):
        slots = [slot for slot in shown.slots if begins <= slot.starts < stops]
        bands = (band for band in shown.bands if band.starts < stops and band.ends > begins)
        local = words.local(begins)
        mark = f"{local:%H}" if by_hour else f"{local:%d.%m}"
        yield {
            "begins": begins,
            "mark": mark,
            "name": f"{mark}-{local.hour + 1:02}" if by_hour else words.short_day(local.date()),
            "granted": sum(slot.granted for slot in slots),
            "refused": sum(slot.refused for slot in slots),
            "inside": ends.get(stops),
            "modes": [MODES[band.mode] for band in bands],
        }


def _edges(words: Words, shown: Picture) -> Iterator[datetime]:
    """Yield when each local hour or day of a span begins, and the one after it, in UTC."""
    by_day = shown.step == visits.HOUR
    local = words.local(shown.since).replace(minute=0, second=0, microsecond=0)
    at = (local.replace(hour=0) if by_day else local).astimezone(UTC)
    while at < shown.until:
        yield at
        at = (words.local(at) + ONE_DAY).astimezone(UTC) if by_day else at + visits.HOUR
    yield at


def _x(shown: Picture, at: datetime) -> float:
    part = (at - shown.since) / (shown.until - shown.since)
    return round(LEFT + WIDTH * min(max(part, 0), 1), 1)


def _y(count: int, unit: float) -> float:
    return round(BASE - count * unit, 1)


# Columns of bars on one scale, as numbers for an SVG.

HEIGHT: Final = 200
SCALE: Final = 48
FOOT: Final = 26
SPACE: Final = 0.25
"""The part of a column's width that stays empty."""

WIDEST: Final = 112
BREADTH: Final = 800


def bars(columns: Sequence[tuple[str, Sequence[int]]]) -> dict[str, Any]:
    """Return the picture of some columns, by name and counts in the order of the series.

    Each of `names` has its x, and each of `marks`, on the left, its y.
    """
    top = scale_of(count for _, counts in columns for count in counts)
    step = min(WIDEST, BREADTH / len(columns)) if columns else WIDEST
    every = max(1, round(len(columns) / 12))
    return {
        "bars": [
            bar
            for place, (_, counts) in enumerate(columns)
            for bar in _column(SCALE + place * step, step, counts, top)
        ],
        "names": [
            (round(SCALE + (place + 0.5) * step, 1), name)
            for place, (name, _) in enumerate(columns)
            if place % every == 0
        ],
        "marks": [(HEIGHT - HEIGHT * at / MARKS, top * at // MARKS) for at in range(MARKS + 1)],
        "width": SCALE + BREADTH,
        "height": HEIGHT + FOOT,
    }


def _column(x: float, step: float, counts: Sequence[int], top: int) -> Iterator[dict[str, Any]]:
    width, left = step * (1 - SPACE) / len(counts), x + step * SPACE / 2
    for place, count in enumerate(counts):
        if count:
            yield {
                "x": round(left + place * width, 1),
                "y": round(HEIGHT - HEIGHT * count / top, 1),
                "width": round(width, 1),
                "height": round(HEIGHT * count / top, 1),
                "series": place,
            }


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
Kept = dict[visits.Span, visits.Settled]
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
    return table_of(rows(app.config.branch.id, visits.statistics(app, *period).table(by)))


def _pictures(app: App, kept: Kept, words: Words, period: Period) -> dict[str, Any]:
    """Return all pictures of a period; years take a while, so it is off the event loop."""
    usage = visits.statistics(app, *period, kept)
    first, last = period
    wanted = (*TITLES, DAYS) if first and last and (last - first).days < MOST_DAYS else TITLES
    charts = [chart(words, by, title, usage.table(by)) for by, title in wanted]
    return {"charts": charts, "week": week(words, usage.week()), "staffed": staffed(app)}


def staffed(app: App) -> list[set[int]]:
    """Return the hours that are staffed to their end, by weekday: the door counts nobody then."""
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
