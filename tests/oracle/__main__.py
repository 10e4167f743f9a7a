"""``python -m tests.oracle``: does a refusal show, or take, anything that tells its reason?"""

from __future__ import annotations

import math
import operator
import random
import secrets
import statistics
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click

from tests.oracle.door import REFUSALS, Look, Span, Watched, watched

# Are these durations one distribution? Medians, and Kolmogorov and Smirnov's test.

NS_PER_MS = 1e6
TERMS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one way to be refused, in milliseconds.

    `paired`: the median of what each took longer than the median of its round; `p99`: the 99th
    percentile; `p`: how likely it is that these and all the others differ as much by chance.
    """

    name: str
    n: int
    p50: float
    paired: float
    p99: float
    p: float


def rows(taken_ns: Mapping[str, Sequence[int]]) -> list[Row]:
    """Compare each way with all the others together; at least two ways with one measurement.

    `taken_ns`: of each way, in the order of the rounds in which they took turns.
    """
    usual = [statistics.median(of_round) for of_round in zip(*taken_ns.values(), strict=True)]
    found = []
    for name, own in taken_ns.items():
        others = list(chain.from_iterable(taken_ns[each] for each in taken_ns if each != name))
        ordered = sorted(own)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        p50 = statistics.median(ordered)
        longer = statistics.median(map(operator.sub, own, usual))
        in_ms = (p50 / NS_PER_MS, longer / NS_PER_MS, p99 / NS_PER_MS)
        found.append(Row(name, len(own), *in_ms, p=chance(own, others)))
    return found


def apart_ms(found: Sequence[Row]) -> float:
    """Return how far apart the lowest and the highest paired median are.

    Paired, because a machine that is busy for a while is so for a whole round.
    """
    return max(row.paired for row in found) - min(row.paired for row in found)


def chance(one: Sequence[int], other: Sequence[int]) -> float:
    """Return p of the two-sample Kolmogorov-Smirnov test, by its asymptotic distribution.

    1 for equal samples, towards 0 the further apart. Source: Press et al., Numerical Recipes,
    section 14.3; right within a few per cent from 20 measurements on.
    """
    first, second = sorted(one), sorted(other)
    distance = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in chain(first, second)
    )
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0
    terms = ((-1.0) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, TERMS))
    return min(1.0, max(0.0, 2 * sum(terms)))


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
