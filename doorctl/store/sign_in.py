"""What a sign-in rests on in ``branch.db``: failed tries, stretched passwords, sessions.

A name that was typed may be a password in the wrong field. So a count of failed sign-ins stands
under eight bytes of a salted hash, and is forgotten a day after its last failure. Each writer works
on the thread of the branch's writer, in its transactions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cached_property
from threading import Lock
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from doorctl.accounts.password import Password
from doorctl.accounts.session import IDLE_MS, LONGEST_MS, Session
from doorctl.accounts.throttle import KEPT_MS, NONE, Failures
from doorctl.core.moments import BootTime
from doorctl.store import tables
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.tables import maybe, select

SESSIONS = tables.SESSIONS.but("digest")
"""The columns of a session, in the order of :func:`to_session`."""


def to_session(record: tuple[Any, ...]) -> Session:
    """Return the session of a record of :data:`SESSIONS`, else raise TypeError or ValueError."""
    account, boot_id, began_ms, seen_ms = record
    return Session(account, BootTime(boot_id, began_ms), BootTime(boot_id, seen_ms))


MARK_BYTES = 8

MOST_KEPT = 5000
"""Most counts that are kept; above it the oldest are deleted, so that they can't fill the disk."""

_KEEP_FAILURES = (
    "INSERT OR REPLACE INTO sign_in_failures (mark, count, boot_id, boot_ms) VALUES (?, ?, ?, ?)"
)

_FORGET_FAILURES = """
    DELETE FROM sign_in_failures WHERE boot_ms <= :now - :kept AND boot_id = :boot
        OR boot_id <> :boot AND :now >= :kept
        OR mark IN (
            SELECT mark FROM sign_in_failures ORDER BY boot_id = :boot DESC, boot_ms DESC
            LIMIT -1 OFFSET :most
        )
"""


class StoredFailures:
    """Write counts of failed sign-ins; no name or address can be read from them."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._execute = branch.execute

    def find(self, kind: str, of: str) -> Failures:
        """Return the count of an account's login, of a browser there, or a caller's address."""
        record = self._execute(
            "SELECT count, boot_id, boot_ms FROM sign_in_failures WHERE mark = ?",
            (self._mark(kind, of),),
        ).fetchone()
        return NONE if record is None else Failures(record[0], BootTime(record[1], record[2]))

    def keep(self, kind: str, of: str, failures: Failures) -> None:
        """Store a count; forget the oldest ones if there are too many."""
        mark, at = self._mark(kind, of), failures.at
        if at is None or failures.count == 0:
            self._execute("DELETE FROM sign_in_failures WHERE mark = ?", (mark,))
            return
        self._execute(_KEEP_FAILURES, (mark, failures.count, at.boot_id, at.ms))
        values = {"now": at.ms, "boot": at.boot_id, "kept": KEPT_MS, "most": MOST_KEPT}
        self._execute(_FORGET_FAILURES, values)

    def key(self) -> bytes:
        """Return a secret key of 32 bytes, made from the salt."""
        return hmac.digest(self._salt, b"key", hashlib.sha256)

    def _mark(self, kind: str, of: str) -> bytes:
        text = f"{kind}:{of}".encode(errors="replace")
        return hmac.digest(self._salt, text, hashlib.sha256)[:MARK_BYTES]

    @cached_property
    def _salt(self) -> bytes:
        return bytes(*self._execute("SELECT salt FROM sign_in_salt").fetchone())


MEMORY_KIB, ITERATIONS, LANES = 19_456, 2, 1
"""OWASP's least (Password Storage Cheat Sheet); argon2-cffi's own is 64 MiB."""

NOBODYS_BYTES = 32
"""Length of the random password that stands in for an unknown account's."""


class ArgonPasswords:
    """Hash passwords with Argon2id; implements `PasswordHasher` of accounts. Thread-safe.

    It hashes one password at a time, because a hash takes 19 MiB. Only tests give lower costs.
    """

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS) -> None:
        self._argon = PasswordHasher(iterations, memory_kib, LANES)
        self._one_at_a_time = Lock()
        self._nobodys: str | None = None

    def hashed(self, password: Password) -> str:
        """Return a new hash, with its salt and cost in it."""
        with self._one_at_a_time:
            return self._argon.hash(_as_bytes(password))

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Tell whether a password fits a hash; None takes as long, and no password fits it."""
        with self._one_at_a_time:
            # The first caller pays for it, known or not, and no start of web does.
            if self._nobodys is None:
                self._nobodys = self._argon.hash(secrets.token_bytes(NOBODYS_BYTES))
            try:
                self._argon.verify(hashed or self._nobodys, _as_bytes(password))
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def is_old(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than this one's."""
        return self._argon.check_needs_rehash(hashed)


def _as_bytes(password: Password) -> bytes:
    # What is no text comes in too, through a form or a pipe, and fits no hash.
    return password.reveal().encode(errors="surrogatepass")


_ADD = f"INSERT INTO sessions (digest, {SESSIONS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- constants

_FIND_SESSION = select(SESSIONS, "sessions WHERE digest = ?")

_TOUCH = "UPDATE sessions SET seen_boot_ms = ? WHERE digest = ? AND boot_id = ?"

_FORGET_SESSIONS = (
    "DELETE FROM sessions WHERE boot_id <> ? OR began_boot_ms <= ? OR seen_boot_ms <= ?"
)


class StoredSessions:
    """Write sessions of staff, each under the digest of its token."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._execute = branch.execute

    def add(self, digest: bytes, session: Session) -> None:
        """Store a session; forget those that are over."""
        began, seen = session.began, session.seen
        longest_ago, idle_since = began.ms - LONGEST_MS, began.ms - IDLE_MS
        self._execute(_FORGET_SESSIONS, (began.boot_id, longest_ago, idle_since))
        self._execute(_ADD, (digest, session.account, began.boot_id, began.ms, seen.ms))

    def find(self, digest: bytes) -> Session | None:
        """Return the session of a token's digest, also one that is over."""
        return maybe(to_session, self._execute(_FIND_SESSION, (digest,)).fetchone())

    def touch(self, digest: bytes, seen: BootTime) -> None:
        """Store that a session was used; nothing if it is gone."""
        self._execute(_TOUCH, (seen.ms, digest, seen.boot_id))

    def end(self, digest: bytes) -> None:
        """Forget a session; nothing if it is gone."""
        self._execute("DELETE FROM sessions WHERE digest = ?", (digest,))

    def end_all(self, name: str) -> int:
        """Forget all sessions of an account; return how many there were."""
        return self._execute("DELETE FROM sessions WHERE account = ?", (name,)).rowcount
