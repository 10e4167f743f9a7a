"""One seed from its first step to its last, and what there is to tell of it."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.patrons import plan_day
from tests.simulation.witness import BrokenError
from tests.simulation.world import World

YEAR_MS = 365.25 * 86_400_000


@dataclass(frozen=True)
class Told:
    """What came of one seed.

    Args:
        failure: which invariant is broken, where, and how to see it again; empty for none.
        seconds: of the processor.
    """

    seed: int
    years: float
    hash: str
    steps: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    failure: str = ""


def run(seed: int, years: float, root: Path) -> Told:
    """Let one branch live.

    `seed`: decides everything; `root`: an unused path on a RAM disk.
    """
    started = time.process_time()
    world = World(seed, root)
    plan_day(world)
    failure = ""
    try:
        world.live(round(years * YEAR_MS))
    except BrokenError as broken:
        failure = told(world, years, str(broken))
    except Exception:  # noqa: BLE001 - a mistake of ours, or of the simulation's: both are told
        failure = told(world, years, traceback.format_exc())
    finally:
        world.close()
    lived = world.clock.true_ms / YEAR_MS
    spent_s = time.process_time() - started
    return Told(seed, lived, world.trace.hash(), world.trace.steps, spent_s, world.counts, failure)


def told(world: World, years: float, what: str) -> str:
    """Return what is printed of a failure."""
    return "\n".join(
        [
            f"seed {world.seed}, step {world.trace.steps}, {world.clock.true_local}: {what}",
            *(f"  {line}" for line in world.trace.last),
            f"again: python -m tests.simulation --seed {world.seed} --years {years:g}",
            "keep it: a line of that seed and those years in tests/simulation/failed_seeds.txt",
        ]
    )
