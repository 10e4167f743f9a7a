"""``python -m tests.fleet``: what becomes of many doors; exit 1 where one is wrong."""

from __future__ import annotations

import random
import resource
import sys
import tempfile
from pathlib import Path

import click

from tests.fleet.country import FAULTS, Country, Round, country

PEACE = "none"


@click.command()
@click.option("--doors", default=50, show_default=True)
@click.option("--patrons", default=20_000, show_default=True, help="Of all libraries together.")
@click.option("--libraries", default=5, show_default=True)
@click.option(
    "--rounds", default=6, show_default=True, help="Disturbed ones, between two in peace."
)
@click.option("--changed", default=200, show_default=True, help="Patrons of a library, each round.")
@click.option("--seed", default=1, show_default=True)
def fleet(
    *, doors: int, patrons: int, libraries: int, rounds: int, changed: int, seed: int
) -> None:
    """Have registers change while servers, doors and lines come and go; look at every door."""
    draw = random.Random(seed)  # noqa: S311 - what happens is to happen again
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 17)), hard))
    with (
        tempfile.TemporaryDirectory() as directory,
        country(Path(directory), doors, patrons, libraries, draw) as whole,
    ):
        told = [_told(whole, number, fault, changed) for number, fault in _drawn(draw, rounds)]
    wrong = [sentence for each in told for sentence in each.wrong]
    for sentence in wrong:
        click.echo(sentence)
    applied = sum(each.applied for each in told)
    click.echo(f"{doors} doors, {len(told)} rounds, seed {seed}: {applied} pushes were applied")
    sys.exit(bool(wrong))


def _drawn(draw: random.Random, rounds: int) -> list[tuple[int, str]]:
    """Return each round's number and fault: peace at both ends, each fault as often as another."""
    faults = [FAULTS[1 + number % (len(FAULTS) - 1)] for number in range(rounds)]
    draw.shuffle(faults)
    return list(enumerate([PEACE, *faults, PEACE]))


def _told(whole: Country, number: int, fault: str, changed: int) -> Round:
    done = whole.round(number, fault, changed)
    codes = ", ".join(f"{code}: {many}" for code, many in sorted(done.codes.items()))
    click.echo(
        f"round {number}, {fault}: {done.applied} of {done.doors} doors applied; "
        f"half after {done.half_s:.1f} s, 99 % {done.most_s:.1f} s, all {done.all_s:.1f} s; "
        f"senders {done.processor_s:.1f} s of processor, exit codes {codes}"
    )
    return done


if __name__ == "__main__":
    fleet()
