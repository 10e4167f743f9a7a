"""``python -m tests.simulation --seed N --years Y``: branches that live years in minutes.

Bug (simulation, seed 241866639): a guess at an erased person's card, on record while the clock
stood before the erasure, goes with what was erased: allowed, for such a card has nothing to guess
(the harness's mistake).

Bug (simulation): where a time server lied and went, its reference took the clock for known (the
harness's own mistake).
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.simulation.oracle import BrokenError
from tests.simulation.patrons import plan_day
from tests.simulation.world import World

# One seed from its first step to its last, and what there is to tell of it.

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


FAILED = Path(__file__).with_name("failed_seeds.txt")
SLICE_YEARS = 2.0


@click.command()
@click.option("--seed", type=int, help="What decides everything; a fresh one by default.")
@click.option("--years", type=float, default=1.0, show_default=True, help="Of each branch.")
@click.option("--ci", is_flag=True, help="Slices of two years, and all failed seeds.")
@click.option("--slices", "count", default=15, show_default=True, help="With --ci: so many.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, help="Processes, with --ci.")
def simulation(*, seed: int | None, years: float, ci: bool, count: int, jobs: int) -> None:
    """Run branches and check every invariant at every step; exit 1 if one was broken."""
    started = time.monotonic()
    first = secrets.randbelow(1_000_000_000) if seed is None else seed
    plans = [(first, years)] if not ci else slices(first, count)
    told = []
    for one in ran(plans, jobs if ci else 1):
        told.append(one)
        end = "broken" if one.failure else "whole"
        click.echo(f"seed {one.seed}: {one.years:.2f} years, {end}, {one.seconds:.0f} s", err=True)
    click.echo(table(told, time.monotonic() - started))
    for broken in (one for one in told if one.failure):
        click.echo(broken.failure, err=True)
    sys.exit(any(one.failure for one in told))


def slices(first: int, count: int) -> list[tuple[int, float]]:
    """Return every seed that ever failed, and so many fresh ones."""
    return [*failed_seeds(), *((first + number, SLICE_YEARS) for number in range(count))]


def failed_seeds() -> list[tuple[int, float]]:
    """Return the seeds that once failed, with the years that showed it."""
    lines = (line.partition("#")[0].split() for line in FAILED.read_text().splitlines())
    return [(int(line[0]), float(line[1])) for line in lines if line]


def ran(plans: Sequence[tuple[int, float]], jobs: int) -> Iterable[Told]:
    """Run each plan in a directory of its own on a RAM disk."""
    ram = Path("/dev/shm")  # noqa: S108 - directories in it have names of their own
    with tempfile.TemporaryDirectory(dir=ram if os.access(ram, os.W_OK) else None) as root:
        if jobs == 1:
            yield from (run(seed, years, Path(root) / str(seed)) for seed, years in plans)
            return
        with ProcessPoolExecutor(jobs) as pool:
            waiting = [
                pool.submit(run, seed, years, Path(root) / str(seed)) for seed, years in plans
            ]
            yield from (one.result() for one in waiting)


def table(told: Sequence[Told], seconds: float) -> str:
    """Return what was lived through."""
    counts: Counter[str] = Counter()
    for one in told:
        counts.update(one.counts)
    faults = {name: count for name, count in sorted(counts.items()) if name.startswith("fault ")}
    rows = {
        "branch-years": f"{sum(one.years for one in told):.2f}",
        **{name: f"{counts[name]:,}" for name in SHOWN},
        "faults": f"{sum(faults.values()):,}",
        **{f"  {name.removeprefix('fault ')}": f"{count:,}" for name, count in faults.items()},
        "steps": f"{sum(one.steps for one in told):,}",
        "trace hash": told[0].hash if len(told) == 1 else joined(told),
        "seconds": f"{seconds:.1f}, {sum(one.seconds for one in told):.1f} of processor",
    }
    return "\n".join(f"{name:<28}{value}" for name, value in rows.items())


SHOWN = (
    "visits",
    "decisions",
    "grants",
    "pushes",
    "purges",
    "purged attempts",
    "erasures",
    "power cuts",
    "restarts",
    "special days",
)


def joined(told: Sequence[Told]) -> str:
    """Return one hash of all."""
    import hashlib  # noqa: PLC0415 - here alone

    return hashlib.sha256("".join(one.hash for one in told).encode()).hexdigest()


if __name__ == "__main__":
    simulation()
