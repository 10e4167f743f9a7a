"""Accounts in ``branch.db`` and their second factors: a writer and a reader.

Each writer works on the thread of the branch's writer, in its transactions.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from doorctl.accounts.account import Account, Origin, SecondFactor
from doorctl.accounts.roles import Role
from doorctl.accounts.session import Session
from doorctl.core.errors import KeyFileError
from doorctl.core.masked import Masked
from doorctl.core.moments import Moment
from doorctl.store import tables
from doorctl.store.branch import CURE, BranchReader, known
from doorctl.store.branch_rows import FACTOR_KEY
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.keys import create_key, read_key
from doorctl.store.sign_in import SESSIONS, StoredFailures, StoredSessions, to_session
from doorctl.store.tables import maybe, select, to_ms

FACTOR = "EXISTS (SELECT 1 FROM second_factors AS factor WHERE factor.account = login)"
"""Whether an account has a second factor."""

ACCOUNTS = f"{tables.ACCOUNTS.but('password', 'used_ms')}, {FACTOR}"
"""The columns of an account, in the order of :func:`to_account`."""


def to_account(record: tuple[Any, ...]) -> Account:
    """Return the account of a record of :data:`ACCOUNTS`, else raise TypeError or ValueError."""
    login, shown, role, disabled_ms, must_change, origin, subject, factor = record
    may_enter = (Role(role), disabled_ms is not None, bool(must_change))
    return Account(login, shown, *may_enter, Origin(origin), subject, bool(factor))


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


class Books:
    """What is kept of staff, in the hands of the one writer."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self.accounts = StoredAccounts(branch)
        self.sessions = StoredSessions(branch)
        self.failures = StoredFailures(branch)
