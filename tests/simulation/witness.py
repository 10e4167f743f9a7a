"""What somebody who stands beside the door knows: who did what, and what must be on record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.simulation.oracle import BEFORE_PROOF, STAFF_ONLY_AFTER, UNJUDGED, Branch, Guesses

CALM_MS = 8_000
"""So long after the last fault nothing of it is felt any more."""


class BrokenError(AssertionError):
    """An invariant does not hold.

    `number`: the fact sheet's; `what`: what was seen, without personal data.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"invariant {number}: {what}")
        self.number = number


def must(number: int, holds: bool, what: str) -> None:
    """Raise :class:`BrokenError` unless it holds."""
    if not holds:
        raise BrokenError(number, what)


@dataclass
class Swipe:
    """A card at the reader, and what has been typed since."""

    card: str
    at_ms: int
    typed: str = ""
    typed_at_ms: int = 0
    used: bool = False
    alone: bool = True
    attempt: int = 0
    waits: bool = False
    prepared_at_ms: int = 0


@dataclass
class Entry:
    """An attempt that is on record."""

    at_ms: int
    row_key: bytes | None
    dependable: bool
    reason: str | None = None


@dataclass
class Witness:
    """Plain data, filled by the simulation; `branch` is what decisions may rest on."""

    branch: Branch = field(default_factory=Branch)
    swipe: Swipe | None = None
    disturbed_ms: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    charged: dict[int, tuple[str, Guesses]] = field(default_factory=dict)

    def saw_swipe(self, card: str, now_ms: int) -> None:
        """See a whole swipe arrive."""
        recent = self.swipe is not None and now_ms - self.swipe.at_ms < 45_000
        self.swipe = Swipe(card, now_ms, alone=not recent)

    def saw_key(self, key: str, now_ms: int) -> None:
        """See a key arrive."""
        if self.swipe is not None and len(self.swipe.typed) < 4:
            self.swipe.typed += key
            self.swipe.typed_at_ms = now_ms

    def forget_swipe(self) -> None:
        """See the process end: nothing of before may open anything."""
        self.swipe = None

    def calm(self) -> bool:
        """Tell whether the swipe at hand was touched by no fault."""
        return self.swipe is not None and self.swipe.at_ms - self.disturbed_ms > CALM_MS

    def charge(self, attempt: int, card: str, guesses: Guesses) -> None:
        """Note that a guess was charged, and what the count was before."""
        self.charged[attempt] = (card, self.branch.guesses.get(card, Guesses()))
        self.branch.guesses[card] = guesses

    def settle(self, attempt: int, reason: str, now: Guesses) -> None:
        """Note how a charged guess ended."""
        card, before = self.charged.pop(attempt, ("", Guesses()))
        if not card:
            return
        if reason in UNJUDGED:
            after = before
        elif reason in BEFORE_PROOF:
            count = min(before.count + 1, STAFF_ONLY_AFTER)
            after = replace(now, count=count)
        else:
            after = Guesses()
        self.branch.guesses[card] = after

    def doubt(self, card: str) -> None:
        """Note that nobody can know what became of a card's guess."""
        self.branch.guesses.setdefault(card, Guesses()).doubt = True

    def died(self) -> None:
        """See the process end: open attempts end as faults, charged guesses stay charged."""
        self.charged.clear()
        self.forget_swipe()
        for entry in self.entries.values():
            entry.reason = entry.reason or "fault"
