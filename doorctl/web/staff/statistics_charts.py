"""From tables of counts to what is drawn: bars by hour, weekday, day or month, and a whole week."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from doorctl.ports import ATTEMPT, LEAF
from doorctl.privacy.statistics import NOT_DATED, WEEKDAYS, By, Cell, K, Statistics
from doorctl.web.pages.words import WEEKDAYS as WEEKDAY_NAMES
from doorctl.web.pages.words import Words
from doorctl.web.staff.bars import Bars, Column, bars

OK: Final = "ok"
HOURS: Final = tuple(f"{hour:02}" for hour in range(24))
YEAR: Final = len(".2026")
"""What a day below a bar has no room for; in every language it stands last."""

SHADES: Final = 4
"""How many shades a week has, beside the one of nothing; each cell has its number too."""

ENTERED: Final = "entered"
SERIES: Mapping[str, str] = MappingProxyType(
    {"granted": "Let in", "refused": "Refused", ENTERED: "People who came in"}
)
"""What is drawn, in the order in which it is, and what it is called."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number that is shown; `short` where some of it, or all of it, is hidden."""

    number: int = 0
    short: bool = False

    def told(self, words: Words) -> str:
        """Return it as it is written: "<5", "120" or "120+"."""
        if self.short and not self.number:
            return f"<{K}"
        return words.number(self.number) + ("+" if self.short else "")


@dataclass(frozen=True, slots=True)
class Group:
    """One hour, weekday, day or month.

    Args:
        name: as it is shown.
        counts: one for each of :data:`SERIES`.
        short_name: as it is written below a bar; empty for `name`.
    """

    name: str
    counts: Mapping[str, Count]
    short_name: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and the same as a table.

    Args:
        key: tells it from the others of the page.
        series: those of :data:`SERIES` that the branch counts.
    """

    key: str
    title: str
    groups: tuple[Group, ...]
    series: Mapping[str, str]
    drawn: Bars
    downloads: bool = True


@dataclass(frozen=True, slots=True)
class Square:
    """One hour of one weekday: what is written in it, and its shade, 0 to :data:`SHADES`."""

    told: str
    shade: int


@dataclass(frozen=True, slots=True)
class Week:
    """Who was let in, by weekday and hour."""

    rows: tuple[tuple[str, tuple[Square, ...]], ...]


def chart(words: Words, by: By, title: str, table: Statistics) -> Chart:
    """Return the picture of a table; every hour and weekday is in it, months where there are any.

    Args:
        words: of the language in question.
        by: what the table was gathered into.
        title: in English.
        table: with what is small hidden already.
    """
    groups = [
        Group(
            _shown(words, by, name),
            _counts(cell for cell in table.cells if cell.group == name),
            _short(words, by, name),
        )
        for name in _names(by, table)
    ]
    return _drawn(by.value, title, groups)


def days_chart(words: Words, title: str, days: Iterable[tuple[date, Statistics]]) -> Chart:
    """Return the picture of single days; a day without any count is left out."""
    groups = [
        Group(words.short_day(day), _counts(table.cells), words.short_day(day)[:-YEAR])
        for day, table in days
    ]
    return _drawn("day", title, groups, downloads=False)


def week(words: Words, days: Sequence[Statistics]) -> Week:
    """Return who was let in, in squares; the darkest is the fullest hour."""
    counts = [_by_hour(table) for table in days]
    most = max((one.number for row in counts for one in row), default=0)
    names = (words.say(name) for name in WEEKDAY_NAMES)
    return Week(
        tuple(
            (name, tuple(Square(_told(words, one), _shade(one, most)) for one in row))
            for name, row in zip(names, counts, strict=True)
        )
    )


def _drawn(key: str, title: str, groups: Sequence[Group], *, downloads: bool = True) -> Chart:
    series = {name: said for name, said in SERIES.items() if _is_counted(name, groups)}
    columns = [
        Column(one.short_name or one.name, tuple(one.counts[name].number for name in series))
        for one in groups
    ]
    return Chart(key, title, tuple(groups), series, bars(columns), downloads)


def _is_counted(series: str, groups: Iterable[Group]) -> bool:
    """Tell whether a branch counts something: without a contact nobody knows who walked in."""
    return series != ENTERED or any(one.counts[ENTERED] != Count() for one in groups)


def _by_hour(table: Statistics) -> tuple[Count, ...]:
    cells = {hour: [cell for cell in table.cells if cell.group == hour] for hour in HOURS}
    return tuple(_counts(cells[hour])["granted"] for hour in HOURS)


def _told(words: Words, count: Count) -> str:
    return count.told(words) if count.number or count.short else ""


def _shade(count: Count, most: int) -> int:
    return -(-count.number * SHADES // most) if most else 0


def _names(by: By, table: Statistics) -> Sequence[str]:
    found = {cell.group for cell in table.cells}
    last = (NOT_DATED,) if NOT_DATED in found else ()
    if by is By.MONTH:
        return (*sorted(found - {NOT_DATED}), *last)
    return (*(HOURS if by is By.HOUR else WEEKDAYS), *last)


def _counts(cells: Iterable[Cell]) -> Mapping[str, Count]:
    found = dict.fromkeys(SERIES, Count())
    for cell in cells:
        series = _series(cell)
        if series is not None:
            before = found[series]
            short = before.short or cell.count is None
            found[series] = Count(before.number + (cell.count or 0), short)
    return found


def _series(cell: Cell) -> str | None:
    if cell.kind == ATTEMPT:
        return "granted" if cell.outcome == OK else "refused"
    return ENTERED if cell.kind == LEAF and cell.outcome == "entered" else None


def _shown(words: Words, by: By, name: str) -> str:
    if name == NOT_DATED:
        return words.say("Time not known")
    if by is By.WEEKDAY:
        return words.say(WEEKDAY_NAMES[WEEKDAYS.index(name)])
    if by is By.MONTH:
        day = date.fromisoformat(f"{name}-01")
        return f"{words.month(day)} {day.year}"
    return name


def _short(words: Words, by: By, name: str) -> str:
    """Return "nov 2026" for a month, nothing for what is short already."""
    if by is not By.MONTH or name == NOT_DATED:
        return ""
    day = date.fromisoformat(f"{name}-01")
    return f"{words.month(day)[:3]} {day.year}"
