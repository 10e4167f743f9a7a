"""The tombstones in ``branch.db``: who was erased, so that no older push brings them back."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from doorctl.privacy.subject import Subject
from doorctl.privacy.tombstones import KEPT, Tombstone, Tombstones
from doorctl.store.branch import BranchReader, never_made
from doorctl.store.connection import translated
from doorctl.store.tables import (
    from_ms,
    to_ms,
)

_STONES = "SELECT mark, erasure, epoch, erased_ms, until_ms FROM tombstones ORDER BY mark"

_SET = """
    INSERT INTO tombstones (mark, erasure, epoch, erased_ms, until_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET erasure = excluded.erasure, epoch = max(epoch, excluded.epoch),
    erased_ms = excluded.erased_ms, until_ms = excluded.until_ms
"""

_NEXT = "SELECT coalesce(max(erasure), 0) + 1 FROM tombstones"


class StoredErasures(BranchReader):
    """Read ``branch.db``'s tombstones; StoreError: it is not known who was erased."""

    def tombstones(self) -> Tombstones:
        """Return all tombstones, as of one commit."""
        if never_made(self.path):
            return Tombstones()
        with self._guard, translated(self.path):
            return read(self.reader.current())


def read(connection: sqlite3.Connection) -> Tombstones:
    """Return all tombstones."""
    (salt,) = connection.execute("SELECT salt FROM tombstone_salt").fetchone()
    stones = {
        mark: Tombstone(mark, erasure, epoch, from_ms(erased_ms), from_ms(until_ms))
        for mark, erasure, epoch, erased_ms, until_ms in connection.execute(_STONES)
    }
    return Tombstones(salt, stones)


def set_up(connection: sqlite3.Connection, subject: Subject, epoch: int, at: datetime) -> None:
    """Set a person's tombstones or renew them, in the caller's transaction; none expires here."""
    tombstones = read(connection)
    standing = tombstones.of(subject)
    erasure = standing[0].erasure if standing else connection.execute(_NEXT).fetchone()[0]
    marks = tombstones.marks(subject) | {stone.mark for stone in standing}
    epoch = max([epoch, *(stone.epoch for stone in standing)])
    times = (to_ms(at), to_ms(at + KEPT))
    connection.executemany(_SET, ((mark, erasure, epoch, *times) for mark in sorted(marks)))
