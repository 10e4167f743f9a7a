"""What is measured, in the order of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.benchmark import (
    busy,
    changes,
    decision,
    door,
    pages,
    purge,
    push,
    pushing,
    receiving,
    replug,
    start,
    swipe,
)
from tests.benchmark.figures import Figure
from tests.benchmark.plan import Plan

PARTS: MappingProxyType[str, Callable[[Plan, Path], Iterator[Figure]]] = MappingProxyType(
    {
        "decision": decision.measure,
        "door": door.measure,
        "busy": busy.measure,
        "pushing": pushing.measure,
        "pages": pages.measure,
        "start": start.measure,
        "replug": replug.measure,
        "swipe": swipe.measure,
        "push": push.measure,
        "changes": changes.measure,
        "receiving": receiving.measure,
        "purge": purge.measure,
    }
)

ROWS = Counter(
    {
        "last digit -> relay, own time in one process": 2 * (2 * 3 + 1),
        "last digit -> relay, whole door": 2 * 5 + 1,
        "last digit -> relay beside loads and purges": 5,
        "last digit -> relay beside pushes": 4,
        "door process": 7,
        "reader unplugged and back": 1,
        "swipe": 1,
        "push of": 4,
        "changes of": 2,
        "last digit -> relay beside 25 staff pages": 3,
        "page": 3 * len(pages.PAGES) + 1,
        "web process": 5,
        "purge of 30 days": 1,
    }
)
"""How the heading of a part begins -> how many rows stand under such headings, of two sizes."""


def wrong(figures: Sequence[Figure]) -> list[str]:
    """Return what is wrong with a table of all parts: rows that are missing, or say nothing."""
    found = Counter(next(one for one in ROWS if each.part.startswith(one)) for each in figures)
    counts = [f"{part}: {found[part]} rows of {n}" for part, n in ROWS.items() if found[part] != n]
    may_be_nothing = ("less the floor", "RSS added")
    return counts + [
        f"{each.part}, {each.what}: {each.value:g}"
        for each in figures
        if each.value <= 0 and not any(what in each.what for what in may_be_nothing)
    ]


def measured(
    plan: Plan, work: Path, on_part: Callable[[str], None], chosen: Sequence[str] = ()
) -> list[Figure]:
    """Measure every part, one after the other, and return all rows of the table.

    Args:
        plan: how much.
        work: an empty directory; about 200 MB, 2 GB for a million patrons.
        on_part: told the name of each part before it begins.
        chosen: the parts to measure; none is all.
    """
    figures: list[Figure] = []
    for name, measure in PARTS.items():
        if chosen and name not in chosen:
            continue
        on_part(name)
        figures.extend(measure(plan, work / name))
    return figures
