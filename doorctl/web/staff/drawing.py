"""Pictures as numbers for an SVG: a day at the door, and columns of counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

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


def bars(columns: Sequence[tuple[str, Sequence[int]]]) -> Bars:
    """Return the picture of some columns, by name and counts in the order of the series."""
    top = scale_of(max((count for _, counts in columns for count in counts), default=0))
    step = min(WIDEST, BREADTH / len(columns)) if columns else WIDEST
    drawn = [
        bar
        for place, (_, counts) in enumerate(columns)
        for bar in _column(SCALE + place * step, step, counts, top)
    ]
    every = max(1, round(len(columns) / 12))
    names = tuple(
        (round(SCALE + (place + 0.5) * step, 1), name)
        for place, (name, _) in enumerate(columns)
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


def _column(x: float, step: float, counts: Sequence[int], top: int) -> list[ColumnBar]:
    width = step * (1 - SPACE) / len(counts)
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
        for place, count in enumerate(counts)
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


def timeline(words: Words, day: DayPicture, now: datetime) -> dict[str, Any]:
    """Return the picture of a day at a local moment, with the table's rows.

    `marks` are y and number of each mark of the scale on the left, `marks_inside` on the right.
    `inside` are the points of the head-count's line, as SVG writes them; both are empty where the
    head-count is not known. `hours` are x and name of each mark of the day; `now` is x of this
    moment, None on another day. `modes` has each mode of the bands with its English name, in order.
    """
    high = scale_of(max((slot.granted for slot in day.slots), default=0))
    low = scale_of(max((slot.refused for slot in day.slots), default=0))
    unit = min(ABOVE / high, BELOW / low)
    most_inside = scale_of(max((count for _, count in day.inside), default=0))
    bands = [_band(words, day.day, band) for band in day.bands]
    return {
        "bars": [bar for slot in day.slots for bar in _bars(words, slot, unit)],
        "bands": bands,
        "modes": {band["mode"]: band["name"] for band in bands},
        "marks": list(_marks(high, low, unit)),
        "marks_inside": _marks_inside(most_inside) if day.inside else [],
        "inside": " ".join(
            f"{_x(_minute(words, day.day, at))},{round(BASE - ABOVE * count / most_inside, 1)}"
            for at, count in day.inside
        ),
        "hours": [(_x(hour * 60), f"{hour:02}") for hour in range(0, 25, 2)],
        "now": _x(_minute(words, day.day, now)) if words.local(now).date() == day.day else None,
        "rows": list(_rows(words, day)),
        "granted": sum(slot.granted for slot in day.slots),
        "refused": sum(slot.refused for slot in day.slots),
        "width": LEFT + WIDTH + RIGHT,
        "height": BAND_Y + BAND + 4,
    }


def _bars(words: Words, slot: Slot, unit: float) -> Iterator[dict[str, Any]]:
    local = words.local(slot.starts)
    x = _x(local.hour * 60 + local.minute) + 1
    width = round(WIDTH * SLOT_MINUTES / DAY_MINUTES - 2, 1)
    up, down = round(slot.granted * unit, 1), round(slot.refused * unit, 1)
    if slot.granted:
        yield {"x": x, "y": round(BASE - up, 1), "width": width, "height": up, "granted": True}
    if slot.refused:
        yield {"x": x, "y": BASE, "width": width, "height": down, "granted": False}


def _band(words: Words, day: date, band: ModeBand) -> dict[str, Any]:
    x, mode = _x(_minute(words, day, band.starts)), band.mode
    width = round(_x(_minute(words, day, band.ends)) - x, 1)
    named = width >= ROOM_FOR_NAME
    return {"x": x, "width": width, "mode": mode.value, "name": MODES[mode], "named": named}


def _marks(high: int, low: int, unit: float) -> Iterator[tuple[float, int]]:
    for count in (high, high // 2, 0):
        yield round(BASE - count * unit, 1), count
    yield round(BASE + low * unit, 1), low


def _marks_inside(most: int) -> list[tuple[float, int]]:
    return [(round(BASE - ABOVE * count / most, 1), count) for count in (most, most // 2, 0)]


def _rows(words: Words, day: DayPicture) -> Iterator[dict[str, Any]]:
    ends = {words.local(at).hour: count for at, count in day.inside if words.local(at).minute == 0}
    if day.inside and words.local(day.inside[-1][0]).date() > day.day:
        ends[24] = day.inside[-1][1]
    for hour in range(24):
        slots = [slot for slot in day.slots if words.local(slot.starts).hour == hour]
        yield {
            "name": f"{hour:02}-{hour + 1:02}",
            "granted": sum(slot.granted for slot in slots),
            "refused": sum(slot.refused for slot in slots),
            "inside": ends.get(hour + 1),
            "modes": list(_modes(words, day.day, day.bands, hour * 60)),
        }


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
