"""``python -m tests.oracle``: does a refusal show, or take, anything that tells its reason?"""

from __future__ import annotations

import random
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tests.oracle.door import REFUSALS, Look, Watched, watched
from tests.oracle.figures import Row, apart_ms, rows

LIMIT_MS = 1.0
"""Far below what a person with a stopwatch, or a microphone at the relay box, can tell."""

LOOKS = 2
TRIES = 3
"""On a machine that is busy with other things a try may fail by chance: then as many are measured
again and counted together. What is the door's own stays."""

LEAST_P = 0.01
CI_N = 40


@click.command()
@click.option("--n", default=CI_N, show_default=True, help="Measurements of each; in full, 2000.")
@click.option("--seed", type=int, help="Of the order; a fresh one by default.")
@click.option("--limit-ms", default=LIMIT_MS, show_default=True, help="Between two medians.")
def oracle(n: int, seed: int | None, limit_ms: float) -> None:
    """Refuse eight people, in random order, for what they must not learn.

    Exit 1 if what is seen, heard or logged differs in anything but the reason, or if medians from
    the last digit to the red lamp are further apart than the limit in each of three tries. KS p
    compares each with all others; with eight of them, one below 0.01 comes by chance in 1 of 13.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    order = random.Random(seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as root, watched(Path(root)) as door:
        differing = _differing(_looks(door, order))
        for one in differing:
            click.echo(one, err=True)
        if not differing:
            click.echo(f"the same to see, hear and read: {len(REFUSALS)} refusals, {LOOKS} times")
        taken: dict[str, list[int]] = {name: [] for name in REFUSALS}
        near = any(_is_near(door, order, n, limit_ms, taken) for _ in range(TRIES))
    sys.exit(bool(differing) or not near)


def _is_near(
    door: Watched, order: random.Random, n: int, limit_ms: float, taken: dict[str, list[int]]
) -> bool:
    _measure(door, order, n, taken)
    found = rows(taken)
    _tell(found, limit_ms)
    return apart_ms(found) <= limit_ms


def _looks(door: Watched, order: random.Random) -> Mapping[str, set[Look]]:
    looks: dict[str, set[Look]] = {name: set() for name in REFUSALS}
    for _ in range(LOOKS):
        for name in order.sample(sorted(REFUSALS), len(REFUSALS)):
            looks[name].add(door.look(REFUSALS[name]))
        door.forgive()
    return looks


def _differing(looks: Mapping[str, set[Look]]) -> list[str]:
    """Return what tells refusals apart; empty for one look of them all."""
    usual = next(iter(looks["wrong PIN"]))
    return [
        f"{name} looks otherwise than a wrong PIN:\n  {look}\n  {usual}"
        for name, seen in looks.items()
        for look in seen
        if look != usual
    ]


def _measure(door: Watched, order: random.Random, n: int, taken: dict[str, list[int]]) -> None:
    """Take turns: whatever else the machine does hits all of them alike."""
    with click.progressbar(range(n), file=sys.stderr, hidden=not sys.stderr.isatty()) as rounds:
        for _ in rounds:
            for name in order.sample(sorted(REFUSALS), len(REFUSALS)):
                taken[name].append(door.time_ns(REFUSALS[name]))
            door.forgive()


def _tell(found: Sequence[Row], limit_ms: float) -> None:
    click.echo(
        f"{'last digit -> red lamp':<28}{'n':>6}{'p50 ms':>9}{'paired':>9}{'p99 ms':>9}{'KS p':>8}"
    )
    for row in found:
        mark = "" if row.p >= LEAST_P else "  (below 0.01)"
        click.echo(
            f"{row.name:<28}{row.n:>6}{row.p50:>9.3f}{row.paired:>+9.3f}{row.p99:>9.3f}{row.p:>8.3f}{mark}"
        )
    click.echo(f"paired medians are {apart_ms(found):.3f} ms apart, at most {limit_ms:g}")


if __name__ == "__main__":
    oracle()
