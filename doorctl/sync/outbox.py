"""The sender's memory between two runs: sealed rows, and the push that last changed each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from doorctl.sync.document import SealedWith


@dataclass(frozen=True, slots=True)
class Terms:
    """The key, cost and ages of sealing; rows of other terms are of no use to a door.

    Args:
        minimum_age: in years; what `enter_from` was computed for.
        other_ages: the limits of branches that have another one, ascending.
    """

    seal: SealedWith
    minimum_age: int
    other_ages: tuple[int, ...] = ()

    def keep_rows(self, before: Terms | None) -> bool:
        """Tell whether rows of the terms before are still of use; `other_ages` don't count."""
        return before is not None and replace(before, other_ages=self.other_ages) == self


@dataclass(frozen=True, slots=True)
class Revision:
    """A patron who is new or has changed.

    Args:
        lines: one sealed row for each identifier, as they go over the wire; at least one.
        other_days: `enter_from` for each other age limit that the patron is too young for.
    """

    patron_ref: str
    fingerprint: bytes = field(repr=False)
    lines: tuple[bytes, ...] = field(repr=False)
    other_days: Mapping[int, date] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the outbox.

    `epoch` is 0 before the first push. A branch that holds an earlier one than `floor_epoch` needs
    all rows: the outbox no longer knows what has changed since.
    """

    epoch: int
    floor_epoch: int
    terms: Terms | None
    patrons: int


@dataclass(frozen=True, slots=True)
class Volume:
    """How much a push holds: sealed cards and CPR numbers, and patrons taken out."""

    cards: int
    removed: int

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Volume(0, 0)


class Outbox(Protocol):
    """The sender's memory; one writer, one thread, each call one durable transaction.

    Raises:
        StoreBusyError: another sender is at work.
        StoreError: nothing was changed.
    """

    def standing(self) -> Standing:
        """Return its state."""

    def fingerprints(self) -> dict[str, bytes]:
        """Return patron_ref -> fingerprint of everyone in the register."""

    def record(
        self, revisions: Iterable[Revision], removed: Iterable[str], terms: Terms
    ) -> Standing:
        """Put patrons in and take others out, under the next epoch; without any, do nothing.

        Another seal or age limit than before raises the floor to the new epoch; `other_ages` do
        not. What `revisions` raises passes through and undoes all.
        """

    def outrank(self, epoch: int) -> int:
        """Make the epoch one more than `epoch` if it is not higher, and return it."""

    def volume(self, after: int) -> Volume:
        """Return how much `rows` and `removals` yield."""

    def rows(self, after: int, minimum_age: int) -> Iterator[tuple[bytes, date | None]]:
        """Yield the wire lines of everyone in the register who changed after an epoch.

        Each comes with its `enter_from` if the limit is one of the terms' `other_ages`, else None.
        """

    def removals(self, after: int) -> Iterator[str]:
        """Yield patrons who were taken out after an epoch and were there before it."""

    def note_sent(self, branch: str, held: int, epoch: int, digest: str, minimum_age: int) -> None:
        """Remember a push before it is sent, since its answer may be lost.

        Pushes from before `held`, the one that the branch holds, are forgotten; `minimum_age` is
        the branch's.
        """

    def was_sent(self, branch: str, epoch: int, digest: str | None, minimum_age: int) -> bool:
        """Tell whether a branch can hold this push from us, for this age limit.

        `digest` is None if the branch did not say.
        """

    def audit_heads(self, branch: str) -> dict[str, str]:
        """Return day -> where a branch's audit log ended then, as ``41:9f86…``; the last first."""

    def note_audit_head(self, branch: str, head: str, on: date, agreed: int) -> None:
        """Keep where a branch's audit log ends on a day, one head a day for half a year.

        Heads with a higher number than `agreed` are forgotten: the log no longer holds them.
        """

    def note_wrong_pins(self, branch: str, here: Mapping[str, int], on: date) -> None:
        """Replace a branch's counts of patrons' wrong PINs, and forget what is 30 days old."""

    def wrong_pins_elsewhere(self, branch: str, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs at all other branches, for the `most` patrons with most.

        Only patrons in the register count.
        """

    def forget_removed(self, through: int) -> None:
        """Forget patrons taken out up to an epoch that every branch holds; raises the floor."""
