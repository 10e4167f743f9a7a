"""Counts of failed sign-ins in ``branch.db``: of whom, nobody can read there.

A name that was typed may be a password in the wrong field. So a count stands under eight bytes of a
salted hash, and is forgotten a day after its last failure.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3

from doorctl.accounts.throttle import KEPT_MS, NONE, Failures
from doorctl.moments import BootTime
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import translated

MARK_BYTES = 8

MOST_KEPT = 5000
"""Who tries more names than this in a day makes the oldest ones be forgotten, not the disk full."""

_KEEP = "INSERT OR REPLACE INTO sign_in_failures VALUES (?, ?, ?, ?)"
_FORGET = """
    DELETE FROM sign_in_failures WHERE boot_ms <= :now - :kept AND boot_id = :boot
        OR boot_id <> :boot AND :now >= :kept
        OR mark IN (
            SELECT mark FROM sign_in_failures ORDER BY boot_id = :boot DESC, boot_ms DESC
            LIMIT -1 OFFSET :most
        )
"""


class StoredFailures:
    """Write counts; implements `FailureStore`. On the thread of the branch's writer.

    Args:
        branch: the one writer of ``branch.db``, in whose transactions it is called.
    """

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch
        self._salt: bytes | None = None

    def find(self, kind: str, of: str) -> Failures:
        """Return the count of an account's login or a caller's address."""
        record = self._execute(
            "SELECT count, boot_id, boot_ms FROM sign_in_failures WHERE mark = ?",
            (self._mark(kind, of),),
        ).fetchone()
        return NONE if record is None else Failures(record[0], BootTime(record[1], record[2]))

    def keep(self, kind: str, of: str, failures: Failures) -> None:
        """Store a count; forget the oldest ones, where there are too many."""
        mark, at = self._mark(kind, of), failures.at
        if at is None or failures.count == 0:
            self._execute("DELETE FROM sign_in_failures WHERE mark = ?", (mark,))
            return
        self._execute(_KEEP, (mark, failures.count, at.boot_id, at.ms))
        values = {"now": at.ms, "boot": at.boot_id, "kept": KEPT_MS, "most": MOST_KEPT}
        self._execute(_FORGET, values)

    def key(self) -> bytes:
        """Return 32 bytes that nobody else has."""
        return hmac.digest(self._salted(), b"key", hashlib.sha256)

    def _mark(self, kind: str, of: str) -> bytes:
        told = f"{kind}:{of}".encode(errors="replace")
        return hmac.digest(self._salted(), told, hashlib.sha256)[:MARK_BYTES]

    def _salted(self) -> bytes:
        if self._salt is None:
            (self._salt,) = self._execute("SELECT salt FROM sign_in_salt", ()).fetchone()
        salt: bytes = self._salt
        return salt

    def _execute(self, sql: str, values: tuple[object, ...] | dict[str, object]) -> sqlite3.Cursor:
        connection: sqlite3.Connection = self._branch.database
        with translated(self._branch.path):
            return connection.execute(sql, values)
