"""The tombstones of ``branch.db``, and what they keep from coming back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_tombstones import KEPT, Tombstone, Tombstones
from doorctl.store.branch import never_made
from doorctl.store.connection import translated
from doorctl.store.visit_rows import from_ms, to_ms
from doorctl.store.watched_reader import WatchedReader

_CURE = "restore it from its backup"
_TABLE = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'tombstones')"
_STONES = "SELECT mark, erasure, epoch, erased_ms, until_ms FROM tombstones ORDER BY mark"
_SALT = "SELECT salt FROM tombstone_salt"
_SET = """
    INSERT INTO tombstones VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET erasure = excluded.erasure, epoch = max(epoch, excluded.epoch),
    erased_ms = excluded.erased_ms, until_ms = excluded.until_ms
"""
_NEXT = "SELECT coalesce(max(erasure), 0) + 1 FROM tombstones"


class StoredErasures:
    """Read the tombstones, from any process; implements `Erasures`. One thread.

    Args:
        path: ``branch.db``; a branch that never had one erased nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, _CURE)

    def tombstones(self) -> Tombstones:
        """Return all of them, as of one commit."""
        if never_made(self.path):
            return Tombstones()
        with translated(self.path):
            return read(self._reader.current())

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()


def read(connection: sqlite3.Connection) -> Tombstones:
    """Return all tombstones; none from a file that was made before there were any."""
    if not connection.execute(_TABLE).fetchone()[0]:
        return Tombstones()
    (salt,) = connection.execute(_SALT).fetchone()
    return Tombstones(salt, {stone.mark: stone for stone in _stones(connection)})


def set_up(connection: sqlite3.Connection, subject: Subject, epoch: int, at: datetime) -> None:
    """Set a person's tombstones, in the caller's transaction; those that stand are renewed.

    Those whose time is over are left to the purge, which does not believe every clock.
    """
    tombstones = read(connection)
    standing = tombstones.of(subject)
    erasure = standing[0].erasure if standing else connection.execute(_NEXT).fetchone()[0]
    marks = tombstones.marks(subject) | {stone.mark for stone in standing}
    epoch = max([epoch, *(stone.epoch for stone in standing)])
    times = (to_ms(at), to_ms(at + KEPT))
    connection.executemany(_SET, ((mark, erasure, epoch, *times) for mark in sorted(marks)))


def _stones(connection: sqlite3.Connection) -> Iterator[Tombstone]:
    for mark, erasure, epoch, erased_ms, until_ms in connection.execute(_STONES):
        yield Tombstone(mark, erasure, epoch, from_ms(erased_ms), from_ms(until_ms))
