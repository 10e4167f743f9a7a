"""A day at the door as a picture: numbers for an SVG, and the same hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from doorctl.web.desks import DayPicture
from doorctl.web.pages.mode_words import MODES
from doorctl.web.pages.words import Words
from doorctl.web.staff.bars import scale_of

LEFT: Final = 40
WIDTH: Final = 960
HEIGHT: Final = 140
BAND_Y: Final = HEIGHT + 8
DAY_MINUTES: Final = 24 * 60
SLOT_WIDTH: Final = WIDTH / 96 - 2
"""A quarter of an hour, with a gap."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What happened in a quarter of an hour; lengths in the picture's units."""

    x: float
    y: float
    height: float
    granted: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """A mode along the bottom."""

    x: float
    width: float
    mode: str
    told: str


@dataclass(frozen=True, slots=True)
class Hour:
    """One line of the table."""

    name: str
    granted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it.

    Args:
        line: the estimated head-count as points of an SVG's polyline; empty where not known.
        top: what the scale ends with.
        hours: x and name of each mark below.
    """

    bars: tuple[Bar, ...]
    strips: tuple[Strip, ...]
    line: str
    top: int
    marks: tuple[tuple[float, str], ...]
    hours: tuple[Hour, ...]
    width: int = LEFT + WIDTH + 10
    height: int = BAND_Y + 44


def timeline(words: Words, day: DayPicture) -> Timeline:
    """Return the picture of a day."""
    highest = max((one.granted + one.refused for one in day.slots), default=0)
    top = scale_of(max([highest, *(count for _, count in day.inside)]))
    bars: list[Bar] = []
    for one in day.slots:
        x, granted = _x(words, one.starts), _height(one.granted, top)
        refused = _height(one.refused, top)
        bars.append(Bar(x, HEIGHT - granted, granted, granted=True))
        bars.append(Bar(x, round(HEIGHT - granted - refused, 1), refused, granted=False))
    points = (f"{_x(words, at)},{HEIGHT - _height(count, top)}" for at, count in day.inside)
    return Timeline(
        bars=tuple(bar for bar in bars if bar.height),
        strips=_strips(words, day),
        line=" ".join(points),
        top=top,
        marks=tuple((LEFT + WIDTH * hour / 24, f"{hour:02}") for hour in range(0, 25, 2)),
        hours=_hours(words, day),
    )


def _strips(words: Words, day: DayPicture) -> tuple[Strip, ...]:
    strips = []
    for one in day.bands:
        starts, ends = _x(words, one.starts), _x(words, one.ends)
        if words.local(one.ends).date() > day.day:
            ends = float(LEFT + WIDTH)
        told = words.say(MODES[one.mode])
        strips.append(Strip(starts, round(max(0.0, ends - starts), 1), one.mode.value, told))
    return tuple(strips)


def _hours(words: Words, day: DayPicture) -> tuple[Hour, ...]:
    found: dict[int, list[int]] = {}
    for one in day.slots:
        counts = found.setdefault(words.local(one.starts).hour, [0, 0])
        counts[0] += one.granted
        counts[1] += one.refused
    return tuple(Hour(f"{hour:02}-{hour + 1:02}", *counts) for hour, counts in _sorted(found))


def _sorted(found: dict[int, list[int]]) -> Sequence[tuple[int, list[int]]]:
    return sorted(found.items())


def _x(words: Words, at: datetime) -> float:
    local = words.local(at)
    return round(LEFT + WIDTH * (local.hour * 60 + local.minute) / DAY_MINUTES, 1)


def _height(count: int, top: int) -> float:
    return round(HEIGHT * count / top, 1)
