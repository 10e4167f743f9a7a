"""Pictures as numbers for an SVG: a day at the door, and columns of counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from doorctl.access.calendar import DAY_MINUTES
from doorctl.services.visits import DayPicture, ModeBand, Slot
from doorctl.web.words import MODES, Words

# Columns of bars on one scale, as numbers for an SVG.

HEIGHT: Final = 200
SCALE: Final = 48
FOOT: Final = 26
SPACE: Final = 0.25
"""The part of a column's width that stays empty."""

WIDEST: Final = 112
BREADTH: Final = 800
STEPS: Final = (1, 2, 3, 4, 5, 8)
MARKS: Final = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One group's counts, in the order of the series."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColumnBar:
    """One bar; lengths in the picture's units."""

    x: float
    y: float
    width: float
    height: float
    series: int
    count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """The whole picture; each name has its x, and each mark on the left its y."""

    bars: tuple[ColumnBar, ...]
    names: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, int], ...]
    width: int = SCALE + BREADTH
    height: int = HEIGHT + FOOT


def bars(columns: Sequence[Column]) -> Bars:
    """Return the picture of some columns; without columns it is empty."""
    top = scale_of(max((count for column in columns for count in column.counts), default=0))
    step = min(WIDEST, BREADTH / len(columns)) if columns else WIDEST
    drawn = [
        bar
        for place, column in enumerate(columns)
        for bar in _column(SCALE + place * step, step, column, top)
    ]
    every = max(1, round(len(columns) / 12))
    names = tuple(
        (round(SCALE + (place + 0.5) * step, 1), column.name)
        for place, column in enumerate(columns)
        if place % every == 0
    )
    marks = tuple((HEIGHT - HEIGHT * at / MARKS, top * at // MARKS) for at in range(MARKS + 1))
    return Bars(tuple(drawn), names, marks)


def scale_of(highest: int) -> int:
    """Return the top of a scale: a round number of four equal parts, not below the highest."""
    size = MARKS
    while True:
        for step in STEPS:
            if size * step >= highest:
                return size * step
        size *= 10


def _column(x: float, step: float, column: Column, top: int) -> list[ColumnBar]:
    width = step * (1 - SPACE) / len(column.counts)
    left = x + step * SPACE / 2
    return [
        ColumnBar(
            round(left + place * width, 1),
            round(HEIGHT - HEIGHT * count / top, 1),
            round(width, 1),
            round(HEIGHT * count / top, 1),
            place,
            count,
        )
        for place, count in enumerate(column.counts)
        if count
    ]


LEFT: Final = 44
WIDTH: Final = 864
RIGHT: Final = 44
TOP: Final = 12
ABOVE: Final = 130
BELOW: Final = 70
BAND: Final = 22
GAP: Final = 24
"""Room for the hours between the bars and the band."""

BASE: Final = TOP + ABOVE
BAND_Y: Final = BASE + BELOW + GAP
SLOT_MINUTES: Final = 15
ROOM_FOR_NAME: Final = 90
"""A narrower band shows no name; the legend names all bands."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar for a quarter of an hour; lengths in the picture's units."""

    x: float
    y: float
    width: float
    height: float
    granted: bool


@dataclass(frozen=True, slots=True)
class Band:
    """A mode's band; `named` says that it has room for the mode's English name."""

    x: float
    width: float
    mode: str
    name: str
    named: bool


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour of the table, named as ``08-09``, with its modes in English and in order.

    `inside` is how many may be inside at its end; None where not known.
    """

    name: str
    granted: int
    refused: int
    inside: int | None
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole picture, with the table's rows.

    `marks` are y and number of each mark of the scale on the left, `marks_inside` on the right.
    `inside` are the points of the head-count's line, as SVG writes them; both are empty where the
    head-count is not known. `hours` are x and name of each mark of the day; `now` is x of this
    moment, None on another day.
    """

    bars: tuple[Bar, ...]
    bands: tuple[Band, ...]
    marks: tuple[tuple[float, int], ...]
    marks_inside: tuple[tuple[float, int], ...]
    inside: str
    hours: tuple[tuple[float, str], ...]
    now: float | None
    rows: tuple[HourRow, ...]
    granted: int
    refused: int
    width: int = LEFT + WIDTH + RIGHT
    height: int = BAND_Y + BAND + 4

    @property
    def modes(self) -> tuple[tuple[str, str], ...]:
        """Each mode of the bands with its English name, once and in order."""
        return tuple(dict.fromkeys((band.mode, band.name) for band in self.bands))


def timeline(words: Words, day: DayPicture, now: datetime) -> Timeline:
    """Return the picture of a day at a local moment."""
    high = scale_of(max((slot.granted for slot in day.slots), default=0))
    low = scale_of(max((slot.refused for slot in day.slots), default=0))
    unit = min(ABOVE / high, BELOW / low)
    most_inside = scale_of(max((count for _, count in day.inside), default=0))
    return Timeline(
        bars=tuple(bar for slot in day.slots for bar in _bars(words, slot, unit)),
        bands=tuple(_band(words, day.day, band) for band in day.bands),
        marks=tuple(_marks(high, low, unit)),
        marks_inside=_marks_inside(most_inside) if day.inside else (),
        inside=" ".join(
            f"{_x(_minute(words, day.day, at))},{round(BASE - ABOVE * count / most_inside, 1)}"
            for at, count in day.inside
        ),
        hours=tuple((_x(hour * 60), f"{hour:02}") for hour in range(0, 25, 2)),
        now=_x(_minute(words, day.day, now)) if words.local(now).date() == day.day else None,
        rows=tuple(_rows(words, day)),
        granted=sum(slot.granted for slot in day.slots),
        refused=sum(slot.refused for slot in day.slots),
    )


def _bars(words: Words, slot: Slot, unit: float) -> Iterator[Bar]:
    local = words.local(slot.starts)
    x = _x(local.hour * 60 + local.minute) + 1
    width = round(WIDTH * SLOT_MINUTES / DAY_MINUTES - 2, 1)
    if slot.granted:
        height = round(slot.granted * unit, 1)
        yield Bar(x, round(BASE - height, 1), width, height, granted=True)
    if slot.refused:
        yield Bar(x, BASE, width, round(slot.refused * unit, 1), granted=False)


def _band(words: Words, day: date, band: ModeBand) -> Band:
    x = _x(_minute(words, day, band.starts))
    width = round(_x(_minute(words, day, band.ends)) - x, 1)
    return Band(x, width, band.mode.value, MODES[band.mode], width >= ROOM_FOR_NAME)


def _marks(high: int, low: int, unit: float) -> Iterator[tuple[float, int]]:
    for count in (high, high // 2, 0):
        yield round(BASE - count * unit, 1), count
    yield round(BASE + low * unit, 1), low


def _marks_inside(most: int) -> tuple[tuple[float, int], ...]:
    return tuple((round(BASE - ABOVE * count / most, 1), count) for count in (most, most // 2, 0))


def _rows(words: Words, day: DayPicture) -> Iterator[HourRow]:
    ends = {words.local(at).hour: count for at, count in day.inside if words.local(at).minute == 0}
    if day.inside and words.local(day.inside[-1][0]).date() > day.day:
        ends[24] = day.inside[-1][1]
    for hour in range(24):
        slots = [slot for slot in day.slots if words.local(slot.starts).hour == hour]
        yield HourRow(
            name=f"{hour:02}-{hour + 1:02}",
            granted=sum(slot.granted for slot in slots),
            refused=sum(slot.refused for slot in slots),
            inside=ends.get(hour + 1),
            modes=tuple(_modes(words, day.day, day.bands, hour * 60)),
        )


def _modes(words: Words, day: date, bands: Sequence[ModeBand], starts: int) -> Iterator[str]:
    for band in bands:
        begins, ends = _minute(words, day, band.starts), _minute(words, day, band.ends)
        if begins < starts + 60 and ends > starts:
            yield MODES[band.mode]


def _minute(words: Words, day: date, at: datetime) -> int:
    """Return the minutes after a day's midnight, by the clock on the wall.

    The hour that summer time skips stays empty; a repeated hour is drawn on the first one.
    """
    local = words.local(at)
    if local.date() >= day + timedelta(days=1):
        return DAY_MINUTES
    return 0 if local.date() < day else local.hour * 60 + local.minute


def _x(minute: float) -> float:
    return round(LEFT + WIDTH * minute / DAY_MINUTES, 1)
