"""How many people are inside: entries minus exits, and how far that can be trusted.

A contact sees that a leaf opened, not how many walked through it. Each opening may have let one
more pass than was told, so the estimate comes with the least and the most that it can be. It is
there to say before closing that the house may not be empty, and never that it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class HeadCount:
    """The count since the last :meth:`closed`; when the house is closed, start a new one.

    Args:
        estimate: entries minus exits, never below 0.
        fewer: how many may be gone unseen.
        more: how many may have come unseen.
    """

    estimate: int = 0
    fewer: int = 0
    more: int = 0

    @property
    def low(self) -> int:
        """The least that may be inside, never below 0."""
        return max(0, self.estimate - self.fewer)

    @property
    def high(self) -> int:
        """The most that may be inside, if each opening let one pass who was not told."""
        return self.estimate + self.more

    def entered(self, persons: int = 1) -> HeadCount:
        """Count an opening after grants to `persons`, companions included; one more may follow."""
        return replace(self, estimate=self.estimate + persons, more=self.more + 1)

    def left(self) -> HeadCount:
        """Count an opening from inside; another may have gone along.

        Where nobody was thought to be inside, somebody was not counted, and may not be the last.
        """
        if self.estimate == 0:
            return replace(self, more=self.more + 1)
        return replace(self, estimate=self.estimate - 1, fewer=self.fewer + 1)

    def passed(self) -> HeadCount:
        """Count an opening of which nobody knows the direction: staffed hours, a forced door."""
        return replace(self, fewer=self.fewer + 1, more=self.more + 1)

    def closed(self) -> HeadCount:
        """Begin anew: the house has been closed, and whoever looked after it found it empty."""
        return HeadCount()
