"""What a database holds of one person, read-only and from any process."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from doorctl.privacy.subject import HeldRow, Subject
from doorctl.privacy.subject_table import BRANCH
from doorctl.store import subject_rows
from doorctl.store.branch import never_made
from doorctl.store.connection import translated
from doorctl.store.visit_rows import to_ms
from doorctl.store.watched_reader import WatchedReader

_CURE = "restore it, or start doorctl, which makes a new one"

_TABLE_OF_HOLDS = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'holds')"
_IN_FORCE = """
    SELECT since_ms, to_ms FROM holds
    WHERE until_ms > (SELECT coalesce(max(high_water_ms), 0) FROM clock)
"""
_EPOCH = "SELECT epoch FROM cache"

_Found = tuple[list[HeldRow], list[tuple[int, int]]]
"""Rows of a person, and the windows of the holds in force: from, to."""

ResultT = TypeVar("ResultT")


class SubjectReader:
    """Read one database for a person's rights; implements `Holdings`. One thread.

    A register or a door log that is missing holds nobody, for nothing else is left of it. A
    ``branch.db`` that was there and is gone is an error, as it is for the door.

    Args:
        path: the database, under its own name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, _CURE)

    def owners(self, row_keys: frozenset[bytes]) -> frozenset[str]:
        """Return every `patron_ref` that stands beside one of some cards."""
        return self._read(
            lambda connection, name: subject_rows.owners(connection, name, row_keys), frozenset()
        )

    def cards(self, patron_ref: str) -> frozenset[bytes]:
        """Return the row keys that stand beside a patron's number."""
        return self._read(
            lambda connection, name: subject_rows.cards(connection, name, patron_ref), frozenset()
        )

    def every_card(self) -> frozenset[bytes]:
        """Return all row keys; for a database that holds thousands and not a register."""
        return self._read(subject_rows.every_card, frozenset())

    def rows(self, subject: Subject, not_before: datetime) -> tuple[HeldRow, ...]:
        """Return all rows of a person.

        Of a dated table none from before a UTC time, unless a hold keeps it that is in force by
        the highest trusted time on record.
        """
        nothing: _Found = ([], [])
        found, held = self._read(partial(_rows_and_holds, subject=subject), nothing)
        return tuple(
            row for row in found if _is_young(row, to_ms(not_before)) or _is_held(row, held)
        )

    def epoch(self) -> int:
        """Return which push the register holds; 0 for none. Only asked of ``patrons.db``."""
        return self._read(_epoch, 0)

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()

    def _read(self, ask: Callable[[sqlite3.Connection, str], ResultT], nothing: ResultT) -> ResultT:
        gone = never_made(self.path) if self.path.name == BRANCH else not self.path.exists()
        if gone:
            return nothing
        with translated(self.path):
            return ask(self._reader.current(), self.path.name)


def _epoch(connection: sqlite3.Connection, _name: str) -> int:
    found: tuple[int] | None = connection.execute(_EPOCH).fetchone()
    return 0 if found is None else found[0]


def _rows_and_holds(connection: sqlite3.Connection, name: str, subject: Subject) -> _Found:
    rows = subject_rows.select(connection, name, subject)
    # A door that runs since before an upgrade has no table of them.
    has_holds = connection.execute(_TABLE_OF_HOLDS).fetchone()[0]
    return rows, connection.execute(_IN_FORCE).fetchall() if has_holds else []


def _is_held(row: HeldRow, held: list[tuple[int, int]]) -> bool:
    if not (row.table.held and row.table.dated):
        return False
    at_ms = row.values[row.table.names.index(row.table.dated)]
    return any(since_ms <= at_ms < to_ms_ for since_ms, to_ms_ in held)


def _is_young(row: HeldRow, not_before_ms: int) -> bool:
    dated = row.table.dated
    return dated is None or row.values[row.table.names.index(dated)] >= not_before_ms
