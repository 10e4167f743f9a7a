"""All rows of a person, in each database, and which cards are one person's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from doorctl.core.errors import InputError
from doorctl.privacy.export import HeldRow
from doorctl.privacy.subject import Subject
from doorctl.privacy.tables import BRANCH, CARD, PATRON, VISITS, Table
from doorctl.privacy.tombstones import Tombstones
from doorctl.store.branch import BranchReader
from doorctl.store.reader import WatchedReader
from doorctl.store.tables import (
    person_tables,
    select,
    to_ms,
)


def belongs(table: Table, subject: Subject) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL condition for a person's rows, and its values.

    A row that names a patron is that patron's, even if another one has the card by now.
    """
    marks = ", ".join("?" * len(subject.row_keys))
    if CARD not in table.names:
        return f"{PATRON} = ?", (subject.patron_ref,)
    by_card = f"{CARD} IN ({marks})"
    keys = tuple(sorted(subject.row_keys))
    if PATRON not in table.names:
        return by_card, keys
    return f"{PATRON} = ? OR ({PATRON} IS NULL AND {by_card})", (subject.patron_ref, *keys)


_CURE = "restore it, or start doorctl, which makes a new one"

_IN_FORCE = """
    SELECT since_ms, to_ms FROM holds
    WHERE until_ms > (SELECT coalesce(max(high_water_ms), 0) FROM clock)
"""


class SubjectReader(BranchReader):
    """Read one database for a person's rights, from any process.

    A missing register or door log has no rows. A ``branch.db`` that was there and is gone is an
    error, as it is for the door. The file must bear its database's name.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, WatchedReader(path, _CURE))

    def owners(self, row_keys: frozenset[bytes]) -> frozenset[str]:
        """Return the patrons' numbers in rows with one of these cards."""
        marks = ", ".join("?" * len(row_keys))
        return self._found(PATRON, f"{CARD} IN ({marks})", row_keys)

    def cards(self, patron_ref: str) -> frozenset[bytes]:
        """Return the row keys in rows with a patron's number."""
        return self._found(CARD, f"{PATRON} = ?", (patron_ref,))

    def every_card(self) -> frozenset[bytes]:
        """Return all row keys; only for a database of thousands, so not for a register."""
        return self._found(CARD)

    def rows(self, subject: Subject, not_before: datetime) -> tuple[HeldRow, ...]:
        """Return all rows of a person, table by table.

        A dated row from before a UTC time is left out, unless a hold keeps it that is in force by
        the highest trusted time on record.
        """
        since_ms, name = to_ms(not_before), self.path.name
        windows = self._records(_IN_FORCE) if name == VISITS else []
        held = []
        for table in person_tables(name):
            where, values = belongs(table, subject)
            columns = ", ".join(f'"{column}"' for column in table.names)
            records = self._records(select(columns, f"{table.name} WHERE {where}"), values)
            held += [HeldRow(table, record) for record in records]
        return tuple(row for row in held if _is_shown(row, since_ms, windows))

    def epoch(self) -> int:
        """Return the number of the push that ``patrons.db`` holds; 0 for none."""
        records = self._records("SELECT epoch FROM cache")
        return records[0][0] if records else 0

    def _records(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        if self.path.name != BRANCH and not self.path.exists():
            return []
        return super()._records(sql, parameters)

    def _found(self, column: str, where: str = "", values: Iterable[object] = ()) -> frozenset[Any]:
        wanted = {CARD, PATRON} if where else {column}
        condition = " AND ".join(filter(None, (where, f"{column} IS NOT NULL")))
        return frozenset(
            value
            for table in person_tables(self.path.name)
            if wanted <= set(table.names)
            for (value,) in self._records(
                select(f"DISTINCT {column}", f"{table.name} WHERE {condition}"), tuple(values)
            )
        )


def _is_shown(row: HeldRow, since_ms: int, windows: Iterable[tuple[int, int]]) -> bool:
    if row.table.dated is None:
        return True
    at_ms = row.by_column[row.table.dated]
    held = row.table.held and any(first <= at_ms < end for first, end in windows)
    return held or at_ms >= since_ms


def find(typed: Sequence[bytes], register: SubjectReader, branch: SubjectReader) -> Subject:
    """Return the owner of a card, with all of the person's cards.

    The register says who owns a card; if it does not know it, a ban or a restriction does.

    `typed` holds the row key of each reading of the typed text, as a card and as a CPR number.

    Raises InputError: two patrons own it. StoreError: a database can't be read.
    """
    for book in (register, branch):
        owners = {key: book.owners(frozenset({key})) for key in typed}
        refs = frozenset().union(*owners.values())
        if len(refs) > 1:
            raise InputError(
                "that is more than one patron's; say --as card or --as cpr, or give --patron-ref"
            )
        for patron_ref in refs:
            # The other reading of the same digits may be somebody else's card.
            own = frozenset(key for key, whose in owners.items() if whose)
            return with_cards(Subject(own, patron_ref), register, branch)
    return Subject(frozenset(typed))


def with_cards(subject: Subject, register: SubjectReader, branch: SubjectReader) -> Subject:
    """Return a person with all cards that have the same number, in either database.

    A banned card that now belongs to somebody else is left out.
    """
    ref = subject.patron_ref
    if ref is None:
        return subject
    banned = {key for key in branch.cards(ref) if not register.owners(frozenset({key})) - {ref}}
    return Subject(subject.row_keys | register.cards(ref) | banned, ref)


def with_erased(
    subject: Subject, tombstones: Tombstones, databases: Iterable[SubjectReader]
) -> Subject:
    """Return a person with the cards that an earlier erasure knew and could not erase everywhere.

    `databases` are those in which data may be left.
    """
    erasures = {stone.erasure for stone in tombstones.of(subject)}
    if not erasures:
        return subject
    left = frozenset().union(*(database.every_card() for database in databases))
    own = {key for key in left if (stone := tombstones.of_card(key)) and stone.erasure in erasures}
    return Subject(subject.row_keys | own, subject.patron_ref)
