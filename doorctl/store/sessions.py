"""Sessions of staff in ``branch.db``, each under the digest of its token."""

from __future__ import annotations

import sqlite3

from doorctl.accounts.sessions import IDLE_MS, LONGEST_MS, Session
from doorctl.moments import BootTime
from doorctl.store.accounts_rows import SESSIONS, to_session
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import translated

_ADD = f"INSERT INTO sessions (digest, {SESSIONS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- constants
_FIND = f"SELECT {SESSIONS} FROM sessions WHERE digest = ?"  # noqa: S608 -- constants
_TOUCH = "UPDATE sessions SET seen_boot_ms = ? WHERE digest = ? AND boot_id = ?"
_FORGET = "DELETE FROM sessions WHERE boot_id <> ? OR began_boot_ms <= ? OR seen_boot_ms <= ?"


class StoredSessions:
    """Write sessions; implements `SessionStore`. On the thread of the branch's writer.

    Args:
        branch: the one writer of ``branch.db``, in whose transactions it is called.
    """

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def add(self, digest: bytes, session: Session) -> None:
        """Store a session; forget those that are over."""
        began, seen = session.began, session.seen
        self._execute(_FORGET, began.boot_id, began.ms - LONGEST_MS, began.ms - IDLE_MS)
        self._execute(_ADD, digest, session.account, began.boot_id, began.ms, seen.ms)

    def find(self, digest: bytes) -> Session | None:
        """Return the session of a token's digest, living or not."""
        record = self._execute(_FIND, digest).fetchone()
        return None if record is None else to_session(record)

    def touch(self, digest: bytes, seen: BootTime) -> None:
        """Store that somebody is still there; nothing if the session is gone."""
        self._execute(_TOUCH, seen.ms, digest, seen.boot_id)

    def end(self, digest: bytes) -> None:
        """Forget a session; nothing if it is gone."""
        self._execute("DELETE FROM sessions WHERE digest = ?", digest)

    def end_all(self, name: str) -> int:
        """Forget all sessions of an account; return how many there were."""
        return self._execute("DELETE FROM sessions WHERE account = ?", name).rowcount

    def _execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        connection: sqlite3.Connection = self._branch.database
        with translated(self._branch.path):
            return connection.execute(sql, values)
