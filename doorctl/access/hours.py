"""A span of a local day, as a weekly table writes it down."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` until just before `closes`.

    Args:
        opens: minutes after midnight, 0-1439.
        closes: minutes after that same midnight, more than `opens`; over 1440 for a span that
            ends on the next day.
    """

    opens: int
    closes: int
