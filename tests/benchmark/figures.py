"""What was measured, as values."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    Args:
        part: what is looked at.
        what: which number of it.
        value: the number, in `unit`.
        unit: ``ms``, ``s``, ``MB``, ``x`` for a ratio, or nothing for a count.
        n: measurements behind it.
        floor: the same without doorctl, measured in the same run; None where there is none.
        budget: the most that the design allows; None where it says nothing.
    """

    part: str
    what: str
    value: float
    unit: str
    n: int
    floor: float | None = None
    budget: float | None = None

    @property
    def of_floor(self) -> float | None:
        """How many times the floor it is."""
        return self.value / self.floor if self.floor else None

    @property
    def of_budget(self) -> float | None:
        """Which share of the budget it is; above 1 is too much."""
        return None if self.budget is None else self.value / self.budget


@dataclass(frozen=True, slots=True)
class Spread:
    """Many measurements of one duration, in milliseconds."""

    p50: float
    p99: float
    longest: float
    n: int

    @classmethod
    def of_ns(cls, durations_ns: Sequence[int]) -> Spread:
        """Sum up durations in nanoseconds, at least one."""
        ordered = sorted(durations_ns)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        p50 = statistics.median(ordered)
        return cls(p50 / NS_PER_MS, p99 / NS_PER_MS, ordered[-1] / NS_PER_MS, len(ordered))

    def figures(
        self,
        part: str,
        floor: Spread | None = None,
        *,
        p50: float | None = None,
        p99: float | None = None,
    ) -> Iterator[Figure]:
        """Yield its three rows.

        `floor`: the same of the floor; `p50`: the budget of the median, in ms; `p99`: the budget of
        the 99th percentile, in ms.
        """
        below = floor or Spread(0, 0, 0, 0)
        yield Figure(part, "p50", self.p50, "ms", self.n, below.p50 or None, p50)
        yield Figure(part, "p99", self.p99, "ms", self.n, below.p99 or None, p99)
        yield Figure(part, "max", self.longest, "ms", self.n, below.longest or None)
