"""The rows of one push beside those that are held: put, compared, and removed where left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from doorctl.access.patron import SealedRow
from doorctl.core.errors import RowsClashError
from doorctl.store.connection import BATCH_ROWS, batches, marks
from doorctl.store.patrons import COLUMNS, to_record
from doorctl.store.patrons_crowds import MOST_KEPT
from doorctl.store.patrons_guard import PATRON_REF, Record, WeekOfPushes
from doorctl.store.patrons_learnt import LearntRows
from doorctl.store.tables import REGISTER, TWICE, second_copy, select

_PLACES = {name: f"?{n}" for n, name in enumerate(REGISTER.but().split(", "), 1)}
_SECOND_COPY = second_copy(REGISTER, _PLACES.__getitem__)
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in [*list(_PLACES)[1:], TWICE])
# The constants above are all that these are made of; values are always bound.
_PUT = f"""
    INSERT INTO patrons ({", ".join(_PLACES)}, {TWICE})
    VALUES ({", ".join(_PLACES.values())}, {_SECOND_COPY})
    ON CONFLICT (row_key) DO UPDATE SET {_CHANGES} WHERE patrons.epoch < excluded.epoch
"""  # noqa: S608 -- as said
_ROW = f"row_key, {COLUMNS}"
_NAMES = _ROW.split(", ")
_DIFFERS = " OR ".join(f"old.{name} IS NOT new.{name}" for name in _NAMES)
# Most rows of a push are as they were; to look each up first would take as long as to put it.
_REPLACED = f"CREATE TEMP TABLE IF NOT EXISTS replaced ({_ROW})"
_NOTE_REPLACED = f"""
    CREATE TEMP TRIGGER IF NOT EXISTS note_replaced AFTER UPDATE ON patrons WHEN {_DIFFERS}
    BEGIN INSERT INTO replaced VALUES ({", ".join(f"old.{name}" for name in _NAMES)}); END
"""  # noqa: S608 -- as said
_WATCH_ADDED = (
    "CREATE TEMP TABLE IF NOT EXISTS added (row_key)",
    """
    CREATE TEMP TRIGGER IF NOT EXISTS note_added AFTER INSERT ON patrons
    BEGIN INSERT INTO added VALUES (new.row_key); END
    """,
)
_IGNORE_ADDED = ("DROP TRIGGER IF EXISTS note_added",)
_IS_BROUGHT = "SELECT EXISTS (SELECT 1 FROM patrons WHERE patron_ref = ? AND epoch = ?)"
_REMOVE = "DELETE FROM patrons WHERE row_key = ?"
_OF_PATRONS = select(_ROW, "patrons WHERE patron_ref IN ({marks})")
_LEFT_OUT = select(_ROW, "patrons WHERE patron_ref IN ({marks}) AND epoch < ?")
# A patron's other rows: IN (SELECT ...) would put every patron_ref of the push into memory first.
_NEXT = f"patrons WHERE row_key > ? AND epoch < ?{{brought}} ORDER BY row_key LIMIT {BATCH_ROWS}"
_NEXT_LEFT_OUT = select(_ROW, _NEXT.format(brought=""))
_NEXT_OTHER = select(
    _ROW,
    _NEXT.format(
        brought="""
        AND EXISTS (
            SELECT 1 FROM patrons AS brought
            WHERE brought.patron_ref = patrons.patron_ref AND brought.epoch = ?
        )"""
    ),
)


class PushedRows:
    """Puts and removes the rows of one push, in its transaction.

    What it takes is by the rows of the push, not by those that are held; only a snapshot, and
    changes of more than `MOST_KEPT` patrons, look at all. Memory grows with cards that change hands
    alone.

    Args:
        week: learns what is changed.
        epoch: the push's number, above that of each row that is held.

    Attributes:
        added: how many cards came that were not held.
        removed: how many cards were removed.
    """

    def __init__(
        self, connection: sqlite3.Connection, week: WeekOfPushes, epoch: int, *, full: bool
    ) -> None:
        self.added = self.removed = 0
        self._connection = connection
        self._week = week
        self._epoch = epoch
        self._full = full
        self._learnt = LearntRows(connection, epoch, full=full)
        watch = _WATCH_ADDED if week.any_held else _IGNORE_ADDED
        for statement in (_REPLACED, _NOTE_REPLACED, *watch):
            connection.execute(statement)
        self._brought: set[str] = set()
        self._robbed: set[str] = set()

    @property
    def _are_many(self) -> bool:
        """Whether they are too many patrons to be kept in mind, of whom each is then looked at."""
        return len(self._brought) > MOST_KEPT

    def put(self, rows: Iterable[SealedRow]) -> None:
        """Put the push's rows, read once; RowsClashError: two are of the same identifier."""
        for batch in batches(rows):
            records = {row.row_key: to_record(row, self._epoch) for row in batch}
            if not (self._full or self._are_many):
                self._brought.update(row.patron.patron_ref for row in batch)
            put = self._connection.executemany(_PUT, records.values())
            # A row of this epoch is not overwritten, so a second one changes nothing.
            if put.rowcount != len(batch):
                raise RowsClashError("two rows are of the same identifier; nothing was changed")
            self._compare(records)
            self._learnt.give_way(batch)

    def _compare(self, records: dict[bytes, Record]) -> None:
        """Learn what rows that were just put have replaced, and which were not held before."""
        if not self._week.any_held:
            self.added += len(records)
            if self._week.any_notes:
                self._week.put(records, {})
            return
        replaced = {row[0]: row for row in self._taken("replaced")}
        added = [key for (key,) in self._taken("added")]
        self.added += len(added)
        if not self._full:
            for key, before in replaced.items():
                if before[PATRON_REF] != records[key][PATRON_REF]:
                    self._robbed.add(before[PATRON_REF])
        if replaced or added:
            self._week.put({key: records[key] for key in (*replaced, *added)}, replaced)

    def _taken(self, table: str) -> list[Record]:
        """Return the rows of a temporary table, and empty it."""
        rows = self._connection.execute(select("*", table)).fetchall()
        if rows:
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- as said
        return rows

    def remove(self, removals: Iterable[str]) -> None:
        """Remove rows, once all of the push's are put.

        `removals` are the `patron_ref` that the push removes by name; they are read once. Raises
        RowsClashError: a row has taken an identifier from a patron who is neither among the rows
        nor removed.
        """
        for named in batches(removals):
            self._robbed.difference_update(named)
            self._learnt.remove(named)
            self._remove(self._found(_OF_PATRONS, named))
        self._refuse_robbery()
        for records in self._left_out():
            self._remove(records)

    def finish(self, at: datetime) -> None:
        """Forget what was learnt and counts no more; between :meth:`put` and :meth:`remove`."""
        self._learnt.finish(at, None if self._are_many else self._brought)

    def _found(self, sql: str, listed: Collection[object], *more: object) -> list[Record]:
        find = sql.format(marks=marks(listed))
        return self._connection.execute(find, (*listed, *more)).fetchall()

    def _refuse_robbery(self) -> None:
        for patron_ref in self._robbed:
            if not self._connection.execute(_IS_BROUGHT, (patron_ref, self._epoch)).fetchone()[0]:
                raise RowsClashError(
                    "a row takes an identifier from a patron who is not among the rows; "
                    "nothing was changed"
                )

    def _left_out(self) -> Iterator[list[Record]]:
        if self._full or self._are_many:
            find = _NEXT_LEFT_OUT if self._full else _NEXT_OTHER
            more = () if self._full else (self._epoch,)
            after = b""
            while records := self._connection.execute(find, (after, self._epoch, *more)).fetchall():
                after = records[-1][0]
                yield records
        else:
            # In order, so that neighbours in the index are read together.
            for refs in batches(sorted(self._brought)):
                yield self._found(_LEFT_OUT, refs, self._epoch)

    def _remove(self, records: list[Record]) -> None:
        if records:
            self._week.removed(records)
            self._connection.executemany(_REMOVE, [record[:1] for record in records])
            self.removed += len(records)
