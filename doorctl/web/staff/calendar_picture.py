"""Days as bands on a scale of 24 hours: numbers for an SVG, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from doorctl.access.hours import DAY_MINUTES
from doorctl.web.desks import CalendarDay
from doorctl.web.pages.mode_words import MODES
from doorctl.web.pages.words import Words

LEFT: Final = 150
WIDTH: Final = 720
ROW: Final = 28
TOP: Final = 28
BAND: Final = 18


@dataclass(frozen=True, slots=True)
class Band:
    """A mode on the scale; lengths in the picture's units."""

    x: float
    width: float
    mode: str
    told: str


@dataclass(frozen=True, slots=True)
class Line:
    """One date."""

    y: int
    name: str
    bands: tuple[Band, ...]
    known: bool
    other: bool
    """Whether its hours are not the usual ones."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it.

    Args:
        hours: x and name of each mark of the scale.
        now: x and y of this moment; None where today is not shown.
    """

    lines: tuple[Line, ...]
    hours: tuple[tuple[float, str], ...]
    now: tuple[float, int] | None
    width: int
    height: int


def picture(words: Words, days: Sequence[CalendarDay], now: datetime) -> Picture:
    """Return the picture of some days at a local moment."""
    lines = tuple(_line(words, place, one) for place, one in enumerate(days))
    today = next(
        (line for line, one in zip(lines, days, strict=True) if one.day == now.date()), None
    )
    minute = now.hour * 60 + now.minute
    return Picture(
        lines=lines,
        hours=tuple((_x(hour * 60), f"{hour:02}") for hour in range(0, 25, 3)),
        now=None if today is None else (_x(minute), today.y),
        width=LEFT + WIDTH + 20,
        height=TOP + ROW * len(lines) + 8,
    )


def _line(words: Words, place: int, day: CalendarDay) -> Line:
    spans = sorted(day.spans or (), key=lambda one: one.starts)
    bands = tuple(
        Band(
            round(_x(one.starts), 1),
            round(_x(min(one.ends, DAY_MINUTES)) - _x(one.starts), 1),
            one.mode.value,
            words.say(MODES[one.mode]),
        )
        for one in spans
    )
    name = f"{words.weekday(day.day)[:3]} {words.short_day(day.day)}"
    other = day.cause.value in {"exception", "holiday"}
    return Line(TOP + ROW * place, name, bands, day.spans is not None, other)


def _x(minutes: float) -> float:
    return LEFT + WIDTH * minutes / DAY_MINUTES
