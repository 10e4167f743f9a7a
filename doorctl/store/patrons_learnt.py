"""PIN checks and whole rows that the library system's answers brought, and what a push replaces."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from doorctl.access.patron import SealedRow
from doorctl.store.connection import batches, marks

_FORGET_CHANGED = (
    "DELETE FROM learnt WHERE row_key = ? AND learnt_on <= ?",
    "DELETE FROM asked WHERE row_key = ? AND learnt_on <= ?",
)
_HAND_ON = """
    INSERT INTO learnt (row_key, pin_check, weak_pin, learnt_on, good_until, key_sum)
    SELECT asked.row_key, asked.pin_check, asked.weak_pin, learnt_on, good_until, asked.key_sum
    FROM asked JOIN patrons ON patrons.row_key = asked.row_key WHERE patrons.pin_check IS NULL
"""
_HAND_ON_SOME = f"{_HAND_ON} AND asked.row_key IN ({{marks}})"
_REPLACE_ALL = "DELETE FROM asked"
_REPLACE_CARDS = "DELETE FROM asked WHERE row_key IN ({marks})"
_REPLACE_PATRONS = "DELETE FROM asked WHERE patron_ref IN ({marks})"
_REPLACE_BROUGHT = """
    DELETE FROM asked WHERE EXISTS (
        SELECT 1 FROM patrons WHERE patrons.patron_ref = asked.patron_ref AND patrons.epoch = ?
    )
"""
_ANY_ASKED = "SELECT EXISTS (SELECT 1 FROM asked)"
_FORGET_LEARNT = (
    "DELETE FROM learnt WHERE good_until < ?",
    "DELETE FROM asked WHERE asked_until < ?",
)


class LearntRows:
    """Deletes learnt rows that a push replaces, in the push's transaction.

    A row that the push brings without a PIN check gets the check that was learnt for it. SQLite
    itself deletes the checks of removed rows.
    """

    def __init__(self, connection: sqlite3.Connection, epoch: int, *, full: bool) -> None:
        self._connection = connection
        self._epoch = epoch
        self._full = full
        self._any_asked = bool(connection.execute(_ANY_ASKED).fetchone()[0])

    def give_way(self, batch: Sequence[SealedRow]) -> None:
        """Forget what was learnt of some rows; call it once they are put."""
        changed = [
            (row.row_key, row.pin_changed.isoformat())
            for row in batch
            if row.pin_changed is not None
        ]
        for statement in _FORGET_CHANGED if changed else ():
            self._connection.executemany(statement, changed)
        if self._any_asked and not self._full:
            keys = [row.row_key for row in batch]
            self._connection.execute(_HAND_ON_SOME.format(marks=marks(keys)), keys)
            self._connection.execute(_REPLACE_CARDS.format(marks=marks(keys)), keys)

    def finish(self, at: datetime, brought: Collection[str] | None) -> None:
        """Forget what the push replaces and what counts no more; call it once all rows are put.

        Only then is each card's check handed on: a patron's cards may come in two batches. `at` is
        now, UTC; `brought` are the patrons of changes, None for too many of them to be kept.
        """
        if self._full:
            self._connection.execute(_HAND_ON)
            self._connection.execute(_REPLACE_ALL)
        elif brought is None:
            self._connection.execute(_REPLACE_BROUGHT, (self._epoch,))
        else:
            for refs in batches(sorted(brought) if self._any_asked else ()):
                self._connection.execute(_REPLACE_PATRONS.format(marks=marks(refs)), refs)
        # A day ends earlier in Denmark than in UTC: nothing goes before its last day is over.
        for statement in _FORGET_LEARNT:
            self._connection.execute(statement, (at.date().isoformat(),))

    def remove(self, refs: Iterable[str]) -> None:
        """Forget the rows of patrons who are removed."""
        self._connection.executemany(
            "DELETE FROM asked WHERE patron_ref = ?", [(ref,) for ref in refs]
        )
