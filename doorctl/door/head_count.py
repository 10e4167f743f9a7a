"""How many people are inside: entries minus exits, and how far that can be trusted.

A contact sees that a leaf opened, not how many walked through it. Each opening may have let one
more pass than was reported, so the estimate comes with a lower and an upper limit. It serves to
say before closing that the house may not be empty, and never that it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from doorctl.door.leaf import Entered, Left, Passed


@dataclass(frozen=True, slots=True)
class HeadCount:
    """The count since the house was closed last, and somebody looked after it and found it empty.

    `estimate` is never below 0; so many `fewer` may have left unseen, and so many `more` have come.
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
        """The most that may be inside, if at each opening one more came in unseen."""
        return self.estimate + self.more

    def after(self, passage: Entered | Left | Passed) -> HeadCount:
        """Count an opening, at which one more may have passed than is known.

        Where somebody leaves an empty house, a person came in uncounted, and may not be the last.
        """
        match passage:
            case Entered(persons=persons):
                return replace(self, estimate=self.estimate + persons, more=self.more + 1)
            case Left() if self.estimate == 0:
                return replace(self, more=self.more + 1)
            case Left():
                return replace(self, estimate=self.estimate - 1, fewer=self.fewer + 1)
        return replace(self, fewer=self.fewer + 1, more=self.more + 1)
