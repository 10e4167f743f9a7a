"""Are these durations one distribution? Medians, and Kolmogorov and Smirnov's test."""

from __future__ import annotations

import math
import operator
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

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
