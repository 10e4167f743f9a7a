"""Columns of bars on one scale, as numbers for an SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

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
