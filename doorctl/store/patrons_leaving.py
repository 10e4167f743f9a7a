"""Which rows a push removes: those of whom it removes by name, and those that it leaves out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sized

from doorctl.errors import RowsClashError
from doorctl.ports import SealedRow
from doorctl.store import patrons_learnt
from doorctl.store.batches import batches

MOST_KEPT = 10_000
"""Patrons of changes who are kept in memory. For more of them the whole table is looked through
once: that takes no memory, and then hardly more time."""

_REMOVE_ALL_ELSE = "DELETE FROM patrons WHERE epoch < :epoch"
# IN (SELECT ...) would put every patron_ref of the push into memory first.
_REMOVE_ALL_OTHERS = """
    DELETE FROM patrons WHERE epoch < :epoch AND EXISTS (
        SELECT 1 FROM patrons AS brought
        WHERE brought.patron_ref = patrons.patron_ref AND brought.epoch = :epoch
    )
"""
_REMOVE_OTHERS = "DELETE FROM patrons WHERE epoch < ? AND patron_ref IN ({marks})"
_REMOVE_NAMED = "DELETE FROM patrons WHERE patron_ref = ?"
_FIND_OWNERS = "SELECT row_key, patron_ref FROM patrons WHERE epoch < ? AND row_key IN ({marks})"
_IS_BROUGHT = "SELECT EXISTS (SELECT 1 FROM patrons WHERE patron_ref = ? AND epoch = ?)"


class Leaving:
    """The rows that one push removes; used in its transaction.

    Memory grows with nothing but the number of cards that change hands.

    Args:
        connection: in the push's transaction.
        epoch: the push's number.
        full: whether it is the whole register.
    """

    def __init__(self, connection: sqlite3.Connection, epoch: int, *, full: bool) -> None:
        self._connection = connection
        self._epoch = epoch
        self._full = full
        self._brought: set[str] = set()
        self._robbed: set[str] = set()

    def note(self, batch: list[SealedRow]) -> None:
        """Take note of some of the push's rows; before they are put."""
        if self._full:
            return
        self._robbed.update(self._owners_robbed(batch))
        if len(self._brought) <= MOST_KEPT:
            self._brought.update(row.patron.patron_ref for row in batch)

    def remove(self, removals: Iterable[str]) -> int:
        """Remove rows once all of the push's are put; return how many.

        Args:
            removals: each `patron_ref` that the push removes by name; read once.

        Raises:
            RowsClashError: a row has taken an identifier from a patron who is neither among the
                rows nor removed.
        """
        named = sum(map(self._remove_named, batches(removals)))
        self._refuse_robbery()
        return named + self._remove_others()

    def _remove_named(self, batch: list[str]) -> int:
        self._robbed.difference_update(batch)
        patrons_learnt.forget_patrons(self._connection, batch)
        return self._connection.executemany(_REMOVE_NAMED, ((ref,) for ref in batch)).rowcount

    def _remove_others(self) -> int:
        if self._full or len(self._brought) > MOST_KEPT:
            remove = _REMOVE_ALL_ELSE if self._full else _REMOVE_ALL_OTHERS
            return self._connection.execute(remove, {"epoch": self._epoch}).rowcount
        # In order, so that neighbours in the index are read together.
        return sum(map(self._remove_others_of, batches(sorted(self._brought))))

    def _remove_others_of(self, batch: list[str]) -> int:
        remove = _REMOVE_OTHERS.format(marks=_marks(batch))
        return self._connection.execute(remove, (self._epoch, *batch)).rowcount

    def _refuse_robbery(self) -> None:
        for patron_ref in self._robbed:
            if not self._connection.execute(_IS_BROUGHT, (patron_ref, self._epoch)).fetchone()[0]:
                raise RowsClashError(
                    "a row takes an identifier from a patron who is not among the rows; "
                    "nothing was changed"
                )

    def _owners_robbed(self, batch: list[SealedRow]) -> Iterator[str]:
        owners = {row.row_key: row.patron.patron_ref for row in batch}
        find = _FIND_OWNERS.format(marks=_marks(owners))
        found = self._connection.execute(find, (self._epoch, *owners))
        return (owner for row_key, owner in found if owner != owners[row_key])


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))
