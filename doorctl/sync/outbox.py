"""The sender's memory of rows and epochs, as a port; and the terms by which rows are sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from doorctl.core.ports import Seal


@dataclass(frozen=True, slots=True)
class Terms:
    """The key, cost and ages of sealing; rows of other terms are of no use to a door.

    Ages are in years; `other_ages` are the limits of branches that have another one, ascending.
    """

    seal: Seal
    minimum_age: int
    other_ages: tuple[int, ...] = ()

    def keep_rows(self, before: Terms | None) -> bool:
        """Tell whether rows of the terms before are still of use; `other_ages` don't count."""
        return before is not None and replace(before, other_ages=self.other_ages) == self


@dataclass(frozen=True, slots=True)
class Revision:
    """A patron who is new or has changed, with one line for each identifier, at least one.

    `other_days` are `enter_from` for each other age limit that the patron is too young for.
    """

    patron_ref: str
    fingerprint: bytes = field(repr=False)
    lines: tuple[bytes, ...] = field(repr=False)
    other_days: Mapping[int, date] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OutboxState:
    """The state of the outbox; `epoch` is 0 before the first push.

    What has changed since an epoch before `floor_epoch` is no longer known: that takes all rows.
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

    Raises StoreBusyError: another sender is at work. StoreError: nothing was changed.
    """

    def state(self) -> OutboxState:
        """Return the outbox's state."""

    def fingerprints(self) -> Mapping[str, bytes]:
        """Return patron_ref -> fingerprint of everyone in the register."""

    def taken_out(self) -> dict[str, bytes]:
        """Return patron_ref -> fingerprint of those taken out whose lines are kept."""

    def lines_of(self, ref: str) -> tuple[bytes, ...]:
        """Return the lines of one of those."""

    def record(
        self, revisions: Iterable[Revision], removed: Iterable[str], terms: Terms
    ) -> OutboxState:
        """Put patrons in and take others out, under the next epoch; without any, do nothing.

        The lines of those taken out are kept, and useless after another seal or age limit than
        before, which raises the floor to the new epoch; `other_ages` do not. What `revisions`
        raises passes through and undoes all.
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

    def was_sent(self, branch: str, epoch: int, digest: str, minimum_age: int) -> bool:
        """Tell whether a branch can hold this push from us, for this age limit."""

    def sent_epochs(self, branch: str, minimum_age: int) -> tuple[int, ...]:
        """Return the pushes that a branch can hold from us, for this age limit, ascending."""

    def audit_heads(self, branch: str) -> dict[str, str]:
        """Return day -> where a branch's audit log ended then, as ``41:9f86…``; the last first."""

    def note_audit_head(
        self, branch: str, head: str, on: date, agreed: int, lost: str | None
    ) -> None:
        """Keep where a branch's audit log ends on a day, one head a day for half a year.

        Heads with a higher number than `agreed` are forgotten: the log no longer holds them. `lost`
        is the last of them; the first such one of a branch stays until somebody confirms it.
        """

    def audit_lost(self) -> dict[str, str]:
        """Return branch -> the head that its log was found without, if nobody confirmed it."""

    def note_wrong_pins(self, branch: str, here: Mapping[str, int], on: date) -> None:
        """Replace a branch's counts of patrons' wrong PINs, and forget what is 30 days old."""

    def wrong_pins_elsewhere(self, branch: str, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs at all other branches, for the `most` patrons with most.

        Only patrons in the register count.
        """

    def forget_removed(self, through: int) -> None:
        """Forget patrons taken out up to an epoch that every branch holds; raises the floor."""

    def forget_overdue(self, on: date, term_days: int) -> None:
        """Forget patrons taken out so many days ago though some branch never said that it knows.

        Such a branch gets all rows when it is back. `on` is a day that has certainly come.
        """
