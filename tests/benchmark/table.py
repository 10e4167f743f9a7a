"""The figures as a table for people and as JSON for scripts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

from tests.benchmark.figures import Figure

HEADS = ("", "measured", "floor", "x floor", "budget", "n", "")
WIDTHS = (56, 12, 12, 9, 10, 6, 6)


def as_table(machine: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """Return the machine, then one row a figure under the heading of its part."""
    head = [f"{name:14} {value}" for name, value in machine.items()]
    return "\n".join([*head, "", _line(HEADS), *_rows(figures)])


def as_json(machine: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """Return the same as one JSON object."""
    rows = [
        {**dataclasses.asdict(figure), "of_floor": figure.of_floor, "of_budget": figure.of_budget}
        for figure in figures
    ]
    return json.dumps({"machine": dict(machine), "figures": rows}, indent=1)


def _rows(figures: Sequence[Figure]) -> Iterator[str]:
    part = ""
    for figure in figures:
        if figure.part != part:
            part = figure.part
            yield f"\n{part}"
        yield _line(_cells(figure))


def _cells(figure: Figure) -> tuple[str, ...]:
    of_floor, of_budget = figure.of_floor, figure.of_budget
    verdict = "" if of_budget is None else "ok" if of_budget <= 1 else "OVER"
    return (
        f"  {figure.what}",
        _shown(figure.value, figure.unit),
        _shown(figure.floor, figure.unit),
        "" if of_floor is None else f"{of_floor:.2f}",
        _shown(figure.budget, figure.unit),
        f"{figure.n}",
        verdict,
    )


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    number = f"{value:.0f}" if not unit else f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{number} {unit}".rstrip()


def _line(cells: Sequence[str]) -> str:
    first, *others = cells
    width, *widths = WIDTHS
    right = (f"{cell:>{wide}}" for cell, wide in zip(others, widths, strict=True))
    return f"{first:{width}}{''.join(right)}".rstrip()
