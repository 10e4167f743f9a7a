"""That somebody was erased, without saying who: so that an older push can't bring them back.

A tombstone is a salted hash of a row key or a `patron_ref`. Whoever has the card, or a row of a
push, can tell that it is meant; from the tombstone alone a row key can't be found (it is 128 bits
that only the installation key makes), and of a `patron_ref` no more than that opaque number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from doorctl.ports import SealedRow
from doorctl.privacy.subject import Holdings, Subject

MARK_BYTES = 16

KEPT = timedelta(days=3 * 366)
"""How long a tombstone stands: as long as the library keeps an inactive patron. An older push than
that is none that anybody would load."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One mark of one erasure.

    Args:
        mark: the hash.
        erasure: the same number for all marks of one person.
        epoch: pushes up to this number can't bring the person back.
        erased_at: when, UTC.
        until: when the tombstone itself goes, UTC.
    """

    mark: bytes = field(repr=False)
    erasure: int
    epoch: int
    erased_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Tombstones:
    """All tombstones of a branch.

    Args:
        salt: the branch's own, so that one branch's marks say nothing at another.
        by_mark: each under its mark.
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
        """Return all tombstones of a person, those of other cards too, by mark."""
        found = {self.by_mark[mark].erasure for mark in self.marks(subject) & self.by_mark.keys()}
        marked = sorted(self.by_mark.items())
        return tuple(stone for _, stone in marked if stone.erasure in found)

    def marks(self, subject: Subject) -> frozenset[bytes]:
        """Return the marks that a person's cards and number have here."""
        cards = frozenset(map(self._card, subject.row_keys))
        if subject.patron_ref is None:
            return cards
        return cards | {self._patron(subject.patron_ref)}

    def against(self, epoch: int) -> Tombstones:
        """Return those that a push of this number can't undo."""
        standing = {mark: one for mark, one in self.by_mark.items() if one.epoch >= epoch}
        return Tombstones(self.salt, standing)

    def without_erased(self, rows: Iterable[SealedRow]) -> Iterable[SealedRow]:
        """Return the rows of those who were not erased; the very same where nobody was."""
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


class Erasures(Protocol):
    """Where tombstones are read. One thread.

    Raises:
        StoreError: they are lost or can't be read; who was erased is not known then.
    """

    def tombstones(self) -> Tombstones:
        """Return all of them, as of one commit."""


def with_erased(subject: Subject, tombstones: Tombstones, databases: Iterable[Holdings]) -> Subject:
    """Return a person with the cards that an earlier erasure knew and could not erase everywhere.

    Args:
        subject: as the register and the bans know them now.
        tombstones: the branch's.
        databases: those in which something may be left.
    """
    erasures = {stone.erasure for stone in tombstones.of(subject)}
    if not erasures:
        return subject
    left = frozenset().union(*(database.every_card() for database in databases))
    own = {key for key in left if _is_of(tombstones.of_card(key), erasures)}
    return Subject(subject.row_keys | own, subject.patron_ref)


def _is_of(stone: Tombstone | None, erasures: Container[int]) -> bool:
    return stone is not None and stone.erasure in erasures
