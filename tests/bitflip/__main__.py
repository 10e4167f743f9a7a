"""``python -m tests.bitflip --n 10000``: a door whose databases have one wrong bit each time.

Bug (`tests.bitflip`): one wrong bit in the write-ahead log of `branch.db` took back a ban that was
written before a power cut.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from random import Random

import click

from tests.bitflip.flips import drawn
from tests.bitflip.house import House

SLOWER_S = 10.0
"""Longest that the two starts may take more than on whole files, on a machine that is busy."""

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a hundred commits a trial


@click.command()
@click.option("--n", default=80, show_default=True, help="Flips; in full, 10000.")
@click.option("--processes", default=2, show_default=True, help="So many of them by real ones.")
@click.option("--seed", type=int, help="Of the flips; a fresh one by default.")
def bitflip(n: int, processes: int, seed: int | None) -> None:
    """Flip a bit of a database, start door and web on it, and let everybody come.

    Exit 1 if one of them does not start, or if somebody comes in who may not.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    chance = Random(seed)  # noqa: S311 - no secret
    kinds: Counter[str] = Counter()
    wrong = 0
    parent = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as root:
        house = House(Path(root))
        house.restored(house.states[0])
        most_s = house.ready_s() + SLOWER_S if processes else 0.0
        for number in range(n):
            files = chance.choice(house.states)
            flip = drawn(files, chance)
            kinds[f"{flip.file} {flip.kind}"] += 1
            trouble = _tried(house, flip.done(files), most_s if number < processes else 0.0)
            if trouble:
                wrong += 1
                click.echo(f"{flip}: {trouble}", err=True)
    for kind, count in sorted(kinds.items()):
        click.echo(f"{count:6} {kind}")
    click.echo(f"slowest start of door and web: {house.slowest_s:.1f} s")
    click.echo(f"{n} flips, {processes} by real processes, {wrong} wrong")
    sys.exit(bool(wrong))


def _tried(house: House, files: dict[str, bytes], most_s: float) -> str:
    house.restored(files)
    try:
        if not most_s:
            return ", ".join(house.wrongly_in())
        took_s = house.ready_s()
    except Exception:  # noqa: BLE001 - whatever it is, it would have ended the process
        return traceback.format_exc()
    return f"ready after {took_s:.1f} s" if took_s > most_s else ""


if __name__ == "__main__":
    bitflip()
