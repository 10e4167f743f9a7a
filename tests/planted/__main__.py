"""``python -m tests.planted [NAME...]``: one line for each fault, exit 1 if one survived."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import click

from tests.planted.faults import FAULTS, Fault
from tests.planted.planting import planted


@click.command()
@click.argument("names", nargs=-1)
@click.option("--some", type=int, help="So many, drawn by --draw, instead of all.")
@click.option("--draw", type=int, help="What decides which; a fresh one by default.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
def faults(names: Sequence[str], some: int | None, draw: int | None, jobs: int) -> None:
    """Plant faults into copies of the source; each must be caught."""
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    if len(chosen) < len(names):
        raise click.ClickException("there is no fault of one of these names")
    if some is not None:
        chosen = drawn(chosen, some, secrets.randbelow(1_000_000) if draw is None else draw)
    survived = 0
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(planted, chosen):
            click.echo(found.line())
            survived += not found.by
    click.echo(f"{len(chosen)} planted, {len(chosen) - survived} caught")
    sys.exit(survived > 0)


def drawn(of: Sequence[Fault], some: int, draw: int) -> list[Fault]:
    """Return some of the faults, the same for the same draw."""
    click.echo(f"draw {draw}")
    return random.Random(draw).sample(list(of), min(some, len(of)))  # noqa: S311 - no secret


if __name__ == "__main__":
    faults()
