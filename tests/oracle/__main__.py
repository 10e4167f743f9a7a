"""``python -m tests.oracle``: does a refusal show, or take, anything that tells its reason?"""

from __future__ import annotations

import random
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from tests.oracle.door import REFUSALS, Look, Span, Watched, watched
from tests.oracle.figures import apart_ms, rows

LIMIT_MS = 1.0
"""Far below what a person with a stopwatch, or a microphone at the relay box, can tell."""

AGAIN = 4
"""So many, drawn anew, are looked at once more: what came before must not matter."""

TRIES = 3
"""On a machine that is busy with other things a try may fail by chance: then as many are measured
again and counted together. What is the door's own stays."""

LEAST_P = 0.01
BUSY = frozenset({Span.ANSWER, Span.HURRIED})
"""In these lie what others do with the processor and the disk, which parts medians by chance."""

OUTSTANDING_P = 0.001
"""What is no chance any more."""

FORGIVEN_AFTER = 4
"""Before the reader itself has to wait, at twice a refusal."""

CI_N = 12


@click.command()
@click.option("--n", default=CI_N, show_default=True, help="Measurements of each; in full, 2000.")
@click.option("--seed", type=int, help="Of the order; a fresh one by default.")
@click.option("--limit-ms", default=LIMIT_MS, show_default=True, help="Between two medians.")
def oracle(n: int, seed: int | None, limit_ms: float) -> None:
    """Refuse ten people, in random order, for what they must not learn.

    Exit 1 if what is seen, heard or logged differs in anything but the reason, or if a span's
    medians are further apart than the limit in each of three tries; those from a swipe on only
    where KS p, too, says that it is no chance. KS p compares each with all others of
    a card of its kind; with eight of them, one below 0.01 comes by chance in 1 of 13.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    order = random.Random(seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as root, watched(Path(root)) as door:
        differing = _differing(_looks(door, order))
        for one in differing:
            click.echo(one, err=True)
        if not differing:
            click.echo(
                f"the same to see, hear and read: {len(REFUSALS)} refusals, {AGAIN} of them twice"
            )
        taken = {span: {name: list[int]() for name in REFUSALS} for span in Span}
        near = any(_is_near(door, order, n, limit_ms, taken) for _ in range(TRIES))
    sys.exit(bool(differing) or not near)


Taken = Mapping[Span, Mapping[str, list[int]]]


def _is_near(door: Watched, order: random.Random, n: int, limit_ms: float, taken: Taken) -> bool:
    _measure(door, order, n, taken)
    near = [_tell(span, of_span, limit_ms) for span, of_span in taken.items()]
    return all(near)


def _looks(door: Watched, order: random.Random) -> Mapping[str, set[Look]]:
    looks: dict[str, set[Look]] = {name: set() for name in REFUSALS}
    for count in (len(REFUSALS), AGAIN):
        for name in order.sample(sorted(REFUSALS), count):
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


def _measure(door: Watched, order: random.Random, n: int, taken: Taken) -> None:
    """Take turns: whatever else the machine does hits all of them alike."""
    with click.progressbar(range(n), file=sys.stderr, hidden=not sys.stderr.isatty()) as rounds:
        for _ in rounds:
            for place, name in enumerate(order.sample(sorted(REFUSALS), len(REFUSALS))):
                if place % FORGIVEN_AFTER == 0:
                    door.forgive()
                for span, took_ns in door.times_ns(REFUSALS[name]).items():
                    taken[span][name].append(took_ns)


def _tell(span: Span, taken: Mapping[str, list[int]], limit_ms: float) -> bool:
    """Print a span's table; tell whether cards of each kind are near each other."""
    click.echo(f"{span.value:<34}{'n':>5}{'p50 ms':>9}{'paired':>9}{'p99 ms':>9}{'KS p':>8}")
    near = True
    for kind in ("CARD", "CPR"):
        found = rows({name: taken[name] for name, of in REFUSALS.items() if of.person.kind == kind})
        for row in found:
            mark = "" if row.p >= LEAST_P else "  (below 0.01)"
            click.echo(
                f"{row.name:<34}{row.n:>5}{row.p50:>9.3f}{row.paired:>+9.3f}{row.p99:>9.3f}{row.p:>8.3f}{mark}"
            )
        click.echo(f"paired medians are {apart_ms(found):.3f} ms apart, at most {limit_ms:g}")
        by_chance = span in BUSY and all(
            row.p >= OUTSTANDING_P or abs(row.paired) <= limit_ms for row in found
        )
        near = near and (by_chance or apart_ms(found) <= limit_ms)
    return near


if __name__ == "__main__":
    oracle()
