"""Tombstones: that a person was erased, so that an older push can't bring the person back.

A tombstone does not say who. It is a salted hash of a row key or a `patron_ref`. With the card or a
row of a push one can tell that it is meant; from the tombstone alone a row key can't be found (it
is 128 bits that only the installation key makes), and of a `patron_ref` only that opaque number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from doorctl.access.patron import SealedRow
from doorctl.privacy.subject import Subject

MARK_BYTES = 16

KEPT = timedelta(days=3 * 366)
"""How long a tombstone is kept: as long as the library keeps an inactive patron. An older push is
never loaded."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One mark of one erasure.

    All marks of one person have the same `erasure`. Pushes up to `epoch` can't bring the person
    back. The tombstone itself goes at `until`; times are UTC.
    """

    mark: bytes = field(repr=False)
    erasure: int
    epoch: int
    erased_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Tombstones:
    """All tombstones of a branch.

    The salt is the branch's own, so that its marks say nothing at another branch.
    """

    salt: bytes = field(default=b"", repr=False)
    by_mark: Mapping[bytes, Tombstone] = field(default_factory=dict, repr=False)

    def of_card(self, row_key: bytes) -> Tombstone | None:
        """Return the tombstone of a card."""
        return self.by_mark.get(self._card(row_key)) if self.by_mark else None

    def of_patron(self, patron_ref: str) -> Tombstone | None:
        """Return the tombstone of a patron."""
        return self.by_mark.get(self._patron(patron_ref)) if self.by_mark else None

    def of_row(self, row_key: bytes, patron_ref: str) -> Tombstone | None:
        """Return the tombstone of a row of the register, by its card or by its patron."""
        return self.of_card(row_key) or self.of_patron(patron_ref)

    def of(self, subject: Subject) -> tuple[Tombstone, ...]:
        """Return all tombstones of a person, those of other cards too, in order of their marks."""
        own = {self.by_mark[mark].erasure for mark in self.marks(subject) & self.by_mark.keys()}
        marked = sorted(self.by_mark.items())
        return tuple(stone for _, stone in marked if stone.erasure in own)

    def marks(self, subject: Subject) -> frozenset[bytes]:
        """Return the marks that a person's cards and number have here."""
        cards = frozenset(map(self._card, subject.row_keys))
        if subject.patron_ref is None:
            return cards
        return cards | {self._patron(subject.patron_ref)}

    def against(self, epoch: int) -> Tombstones:
        """Return the tombstones that a push of this number can't undo."""
        standing = {mark: stone for mark, stone in self.by_mark.items() if stone.epoch >= epoch}
        return Tombstones(self.salt, standing)

    def without_erased(self, rows: Iterable[SealedRow]) -> Iterable[SealedRow]:
        """Return the rows without those of erased people; the same object if nobody was erased."""
        if not self.by_mark:
            return rows
        return (row for row in rows if self.of_row(row.row_key, row.patron.patron_ref) is None)

    def _card(self, row_key: bytes) -> bytes:
        return self._mark(b"card", row_key)

    def _patron(self, patron_ref: str) -> bytes:
        return self._mark(b"patron", patron_ref.encode())

    def _mark(self, kind: bytes, value: bytes) -> bytes:
        hashed = hashlib.blake2b(value, digest_size=MARK_BYTES, salt=self.salt, person=kind)
        return hashed.digest()
