"""Columns of bars on one scale, as numbers for an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 200
LEFT: Final = 48
BELOW: Final = 26
GAP: Final = 0.25
"""The part of a column's width that stays empty."""

WIDEST: Final = 112
WIDTH: Final = 800
STEPS: Final = (1, 2, 3, 4, 5, 8)
MARKS: Final = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One group's counts, in the order of the series."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bar:
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

    bars: tuple[Bar, ...]
    names: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, int], ...]
    width: int = LEFT + WIDTH
    height: int = HEIGHT + BELOW


def bars(columns: Sequence[Column]) -> Bars:
    """Return the picture of some columns; without columns it is empty."""
    top = scale_of(max((count for column in columns for count in column.counts), default=0))
    step = min(WIDEST, WIDTH / len(columns)) if columns else WIDEST
    drawn = [
        bar
        for place, column in enumerate(columns)
        for bar in _drawn(LEFT + place * step, step, column, top)
    ]
    every = max(1, round(len(columns) / 12))
    names = tuple(
        (round(LEFT + (place + 0.5) * step, 1), column.name)
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


def _drawn(x: float, step: float, column: Column, top: int) -> list[Bar]:
    width = step * (1 - GAP) / len(column.counts)
    left = x + step * GAP / 2
    return [
        Bar(
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
