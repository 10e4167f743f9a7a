"""Accounts, sessions and failed sign-ins in ``branch.db``: their writers and a reader.

Each writer works on the thread of the branch's writer, in its transactions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from doorctl.accounts.account import Account, Origin, SecondFactor
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.accounts.session import IDLE_MS, LONGEST_MS, Session
from doorctl.accounts.throttle import KEPT_MS, NONE, Failures
from doorctl.core.errors import KeyFileError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, Moment
from doorctl.store import tables
from doorctl.store.branch import CURE, FACTOR_KEY, BranchReader, known
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.keys import create_key, read_key
from doorctl.store.tables import maybe, select, to_ms

FACTOR = "EXISTS (SELECT 1 FROM second_factors AS factor WHERE factor.account = login)"
"""Whether an account has a second factor."""

ACCOUNTS = f"{tables.ACCOUNTS.but('password', 'used_ms')}, {FACTOR}"
"""The columns of an account, in the order of :func:`to_account`."""

SESSIONS = tables.SESSIONS.but("digest")
"""The columns of a session, in the order of :func:`to_session`."""


def to_account(record: tuple[Any, ...]) -> Account:
    """Return the account of a record of :data:`ACCOUNTS`, else raise TypeError or ValueError."""
    login, shown, role, disabled_ms, must_change, origin, subject, factor = record
    may_enter = (Role(role), disabled_ms is not None, bool(must_change))
    return Account(login, shown, *may_enter, Origin(origin), subject, bool(factor))


def to_session(record: tuple[Any, ...]) -> Session:
    """Return the session of a record of :data:`SESSIONS`, else raise TypeError or ValueError."""
    account, boot_id, began_ms, seen_ms = record
    return Session(account, BootTime(boot_id, began_ms), BootTime(boot_id, seen_ms))


KEPT_DISABLED = timedelta(days=30)
"""How long a disabled account is kept: long enough to notice a mistake."""

KEPT_UNUSED = timedelta(days=185)
"""How long an unused account of the identity provider is kept: as long as the audit log."""

_FIND = select(ACCOUNTS, "accounts WHERE login = ?")
_EVERY = select(ACCOUNTS, "accounts ORDER BY login")
_WHOSE = select(
    f"{ACCOUNTS}, {SESSIONS}", "sessions JOIN accounts ON login = account WHERE digest = ?"
)
_SESSIONS = select(f"digest, {SESSIONS}", "sessions WHERE account = ?")

_KEEP = """
    INSERT INTO accounts (login, shown, role, disabled_ms, must_change, origin, subject, used_ms)
    VALUES (:login, :shown, :role, :disabled_ms, :must_change, :origin, :subject, :now_ms)
    ON CONFLICT (login) DO UPDATE SET
        shown = excluded.shown, role = excluded.role, must_change = excluded.must_change,
        origin = excluded.origin, subject = excluded.subject, used_ms = excluded.used_ms,
        disabled_ms = CASE WHEN excluded.disabled_ms IS NULL THEN NULL
            ELSE coalesce(disabled_ms, excluded.disabled_ms) END
"""
_FORGET = """
    DELETE FROM accounts WHERE origin = :local AND disabled_ms < :disabled_before
        OR origin <> :local AND disabled_ms IS NULL AND used_ms < :unused_before
"""
_FACTOR = "SELECT secret, step, recovery FROM second_factors WHERE account = ?"
_MARK_BYTES = 32


class StoredAccounts:
    """Write accounts."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def find(self, name: str) -> Account | None:
        """Return the account of a login."""
        return maybe(to_account, self._branch.execute(_FIND, (name,)).fetchone())

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""
        return tuple(map(to_account, self._branch.execute(_EVERY).fetchall()))

    def keep(self, account: Account, moment: Moment) -> None:
        """Add an account, or replace all but its password; it counts as used then.

        Those that are kept no longer are deleted.
        """
        now_ms = to_ms(known(moment))
        values = {
            "login": account.name,
            "shown": account.shown,
            "role": account.role.value,
            "disabled_ms": now_ms if account.disabled else None,
            "must_change": account.must_change,
            "origin": account.origin.value,
            "subject": account.subject,
            "now_ms": now_ms,
        }
        with self._branch.together(moment) as connection:
            connection.execute(_KEEP, values)
            self._forget(connection, moment)

    def password_of(self, name: str) -> str | None:
        """Return an account's password hash; None without an account or a password."""
        find = "SELECT password FROM accounts WHERE login = ?"
        (password,) = self._branch.execute(find, (name,)).fetchone() or (None,)
        return cast("str | None", password)

    def keep_password(self, name: str, hashed: str) -> None:
        """Store the hash of an account's password."""
        self._branch.execute("UPDATE accounts SET password = ? WHERE login = ?", (hashed, name))

    def factor_of(self, name: str) -> SecondFactor | None:
        """Return an account's second factor; without its secret if that can't be read."""
        record = self._branch.execute(_FACTOR, (name,)).fetchone()
        if record is None:
            return None
        sealed, step, marks = record
        cuts = range(0, len(marks), _MARK_BYTES)
        recovery = frozenset(marks[at : at + _MARK_BYTES] for at in cuts)
        try:
            secret = self._box().decrypt(sealed, name.encode()).decode()
        except (KeyFileError, CryptoError):
            return SecondFactor(None, step, recovery)
        return SecondFactor(Masked(secret), step, recovery)

    def keep_factor(self, name: str, factor: SecondFactor | None) -> None:
        """Store an account's second factor, or forget it; without a secret the stored one stays.

        KeyFileError: the key that secrets are sealed with can't be read or made.
        """
        execute = self._branch.execute
        if factor is None:
            execute("DELETE FROM second_factors WHERE account = ?", (name,))
            return
        marks = b"".join(sorted(factor.recovery))
        if factor.secret is None:
            execute("UPDATE second_factors SET recovery = ? WHERE account = ?", (marks, name))
            return
        if not self._key_file.exists():
            create_key(self._key_file)
        sealed = self._box().encrypt(factor.secret.reveal().encode(), name.encode())
        values = (name, bytes(sealed), factor.step, marks)
        execute(
            "INSERT OR REPLACE INTO second_factors (account, secret, step, recovery) "
            "VALUES (?,?,?,?)",
            values,
        )

    @property
    def _key_file(self) -> Path:
        return self._branch.path.with_name(FACTOR_KEY)

    def _box(self) -> Aead:
        key = read_key(self._key_file).reveal()
        if len(key) != Aead.KEY_SIZE:
            raise KeyFileError(f"{self._key_file} holds more than one key; put its backup back")
        return Aead(key)

    def _forget(self, connection: sqlite3.Connection, moment: Moment) -> None:
        if not moment.dependable:
            return
        values = {
            "local": Origin.LOCAL.value,
            "disabled_before": to_ms(known(moment) - KEPT_DISABLED),
            "unused_before": to_ms(known(moment) - KEPT_UNUSED),
        }
        if connection.execute(_FORGET, values).rowcount:
            self._branch.rewrite_after()


class AccountRecords(BranchReader):
    """Look up who is signed in, not on the writer's thread; thread-safe."""

    unreadable = f"an account can't be read; {CURE}"

    def whose(self, digest: bytes) -> tuple[Account, Session] | None:
        """Return the session of a token's digest with its account."""
        records = self._fetch(_to_both, _WHOSE, (digest,))
        return records[0] if records else None

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""
        return self._fetch(to_account, _EVERY)

    def sessions(self, name: str) -> tuple[tuple[bytes, Session], ...]:
        """Return an account's sessions with their tokens' digests."""
        return self._fetch(lambda row: (row[0], to_session(row[1:])), _SESSIONS, (name,))


def _to_both(record: tuple[Any, ...]) -> tuple[Account, Session]:
    columns = ACCOUNTS.count(",") + 1
    return to_account(record[:columns]), to_session(record[columns:])


# A name that was typed may be a password in the wrong field. So a count of failed sign-ins stands
# under eight bytes of a salted hash, and is forgotten a day after its last failure.

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


class Books:
    """What is kept of staff, in the hands of the one writer."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self.accounts = StoredAccounts(branch)
        self.sessions = StoredSessions(branch)
        self.failures = StoredFailures(branch)
