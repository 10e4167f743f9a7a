"""What is measured, in the order of the table."""

from __future__ import annotations

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
