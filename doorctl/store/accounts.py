"""Accounts in ``branch.db``: their one writer, beside that of bans and hours, and a reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from doorctl.accounts.account import Account, Origin, SecondFactor
from doorctl.accounts.sessions import Session
from doorctl.errors import KeyFileError, StoreDamagedError
from doorctl.masked import Masked
from doorctl.moments import Moment
from doorctl.store.accounts_rows import (
    ACCOUNTS,
    FACTOR,
    FACTOR_KEY,
    SESSIONS,
    to_account,
    to_session,
)
from doorctl.store.branch import never_made
from doorctl.store.branch_rules import known
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import translated
from doorctl.store.key_file import create_key, read_key
from doorctl.store.older_file import execute_fitting
from doorctl.store.visit_rows import to_ms
from doorctl.store.watched_reader import WatchedReader

KEPT_DISABLED = timedelta(days=30)
"""Then nobody can have left the account disabled by mistake."""

KEPT_UNUSED = timedelta(days=185)
"""An account that the identity provider made, and makes again: as long as the audit log."""

_CURE = "restore it from its backup"
_FIND = f"SELECT {ACCOUNTS} FROM accounts WHERE login = ?"  # noqa: S608 -- constants
_EVERY = f"SELECT {ACCOUNTS} FROM accounts ORDER BY login"  # noqa: S608 -- constants
_EVERY_BEFORE = _EVERY.replace(FACTOR, "0")
_NONE = "SELECT NULL FROM bans WHERE 0"
_WHOSE = f"""
    SELECT {ACCOUNTS}, {SESSIONS} FROM sessions JOIN accounts ON login = account WHERE digest = ?
"""  # noqa: S608 -- constants
_SESSIONS = f"SELECT digest, {SESSIONS} FROM sessions WHERE account = ?"  # noqa: S608 -- constants
_NOBODY = "SELECT NULL FROM bans WHERE 0 AND row_key = ?"
"""What is asked before web, which starts later after an upgrade, has laid the tables out."""

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

ResultT = TypeVar("ResultT")


class StoredAccounts:
    """Write accounts; implements `AccountStore`. On the thread of the branch's writer.

    Args:
        branch: the one writer of ``branch.db``, whose transactions it shares.
    """

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def find(self, name: str) -> Account | None:
        """Return the account of a login."""
        with translated(self._branch.path):
            record = self._connection.execute(_FIND, (name,)).fetchone()
        return None if record is None else to_account(record)

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""
        with translated(self._branch.path):
            return tuple(map(to_account, self._connection.execute(_EVERY).fetchall()))

    def keep(self, account: Account, moment: Moment) -> None:
        """Add an account, or replace it but for its password; forget those that left."""
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
        """Return the hash of a password; None for no account, or one without."""
        with translated(self._branch.path):
            found = self._connection.execute(
                "SELECT password FROM accounts WHERE login = ?", (name,)
            ).fetchone()
        return None if found is None else found[0]

    def keep_password(self, name: str, hashed: str) -> None:
        """Store the hash of an account's password."""
        with translated(self._branch.path):
            self._connection.execute(
                "UPDATE accounts SET password = ? WHERE login = ?", (hashed, name)
            )

    def factor_of(self, name: str) -> SecondFactor | None:
        """Return an account's second factor; without its secret where that can't be read."""
        with translated(self._branch.path):
            found = self._connection.execute(_FACTOR, (name,)).fetchone()
        if found is None:
            return None
        sealed, step, marks = found
        cuts = range(0, len(marks), _MARK_BYTES)
        recovery = frozenset(marks[at : at + _MARK_BYTES] for at in cuts)
        try:
            secret = self._box().decrypt(sealed, name.encode()).decode()
        except (KeyFileError, CryptoError):
            return SecondFactor(None, step, recovery)
        return SecondFactor(Masked(secret), step, recovery)

    def keep_factor(self, name: str, factor: SecondFactor | None) -> None:
        """Store an account's second factor, or forget it; one without a secret keeps its own."""
        with translated(self._branch.path):
            if factor is None:
                self._connection.execute("DELETE FROM second_factors WHERE account = ?", (name,))
                return
            marks = b"".join(sorted(factor.recovery))
            if factor.secret is None:
                spent = "UPDATE second_factors SET recovery = ? WHERE account = ?"
                self._connection.execute(spent, (marks, name))
                return
            if not self._key_file.exists():
                create_key(self._key_file)
            sealed = self._box().encrypt(factor.secret.reveal().encode(), name.encode())
            values = (name, bytes(sealed), factor.step, marks)
            self._connection.execute(
                "INSERT OR REPLACE INTO second_factors VALUES (?,?,?,?)", values
            )

    @property
    def _key_file(self) -> Path:
        return self._branch.path.with_name(FACTOR_KEY)

    def _box(self) -> Aead:
        key = read_key(self._key_file).reveal()
        if len(key) != Aead.KEY_SIZE:
            raise KeyFileError(f"{self._key_file} holds more than one key; put its backup back")
        return Aead(key)

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._branch.database
        return connection

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


class AccountRecords:
    """Look up who is signed in; implements `SignedInBook`. Thread-safe, one question at a time.

    Not on the writer's thread: what keeps that waits for the disk, and a page need not.

    Args:
        path: ``branch.db``; it may appear later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = WatchedReader(path, _CURE)
        self._one_at_a_time = Lock()

    def whose(self, digest: bytes) -> tuple[Account, Session] | None:
        """Return the session of a token's digest with its account."""
        found = self._fetch(_to_both, (_WHOSE, _NOBODY), digest)
        return found[0] if found else None

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""
        return self._fetch(to_account, (_EVERY, _EVERY_BEFORE, _NONE))

    def sessions(self, name: str) -> tuple[tuple[bytes, Session], ...]:
        """Return an account's sessions with their tokens' digests."""
        return self._fetch(_to_digest_too, (_SESSIONS, _NOBODY), name)

    def close(self) -> None:
        """Close the connection; idempotent."""
        with self._one_at_a_time:
            self._rows.close()

    def _fetch(
        self,
        to_value: Callable[[tuple[Any, ...]], ResultT],
        statements: tuple[str, ...],
        *parameters: object,
    ) -> tuple[ResultT, ...]:
        with self._one_at_a_time:
            if never_made(self.path):
                return ()
            with translated(self.path):
                database = self._rows.current()
                found = execute_fitting(database, statements, parameters).fetchall()
        try:
            return tuple(map(to_value, found))
        except (TypeError, ValueError):
            # The cause would quote the row.
            raise StoreDamagedError(
                f"{self.path} is damaged: an account can't be read; {_CURE}"
            ) from None


def _to_both(record: tuple[Any, ...]) -> tuple[Account, Session]:
    columns = ACCOUNTS.count(",") + 1
    return to_account(record[:columns]), to_session(record[columns:])


def _to_digest_too(record: tuple[Any, ...]) -> tuple[bytes, Session]:
    return record[0], to_session(record[1:])
