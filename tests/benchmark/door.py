"""Last digit to relay through the whole door process, from the pseudo-terminal's write on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.benchmark.decision import P50_MS, P99_MS, growth
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.floor import Echo
from tests.benchmark.lanes import echo_directory, opened_all, play
from tests.benchmark.plan import Plan
from tests.benchmark.register import Register, fill

PART = "last digit -> relay, whole door"


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at doors with registers of each size, taking turns with a bare echo."""
    registers = [each for size in plan.sizes for each in _copies(work, size, plan.lanes)]
    with opened_all(registers, "clock.trust=auto") as lanes, Echo(echo_directory(work)) as echo:
        taken, floor_ns = play(lanes, echo, plan.rounds)
    floor = Spread.of_ns(floor_ns)
    spreads: dict[int, Spread] = {}
    for place, size in enumerate(plan.sizes):
        of_size = taken[place * plan.lanes : (place + 1) * plan.lanes]
        spreads[size] = Spread.of_ns(list(chain.from_iterable(of_size)))
        yield from _figures(f"{PART}, {size:,} patrons", spreads[size], floor)
    yield from growth(f"{PART}, growth", spreads)


def _figures(part: str, whole: Spread, floor: Spread) -> Iterator[Figure]:
    yield from whole.figures(part, floor)
    yield Figure(part, "p50 less the floor's", whole.p50 - floor.p50, "ms", whole.n, budget=P50_MS)
    yield Figure(part, "p99 less the floor's", whole.p99 - floor.p99, "ms", whole.n, budget=P99_MS)


def _copies(work: Path, size: int, count: int) -> list[Register]:
    first = fill(work / f"{size}-0", size)
    return [first, *(first.copied(work / f"{size}-{number}") for number in range(1, count))]
