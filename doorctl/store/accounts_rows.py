"""The tables of accounts, sessions and failed sign-ins, and each record as a row and back."""

from __future__ import annotations

from typing import Any

from doorctl.accounts.account import Account, Origin
from doorctl.accounts.roles import Role
from doorctl.accounts.sessions import Session
from doorctl.moments import BootTime

FACTOR = "EXISTS (SELECT 1 FROM second_factors AS factor WHERE factor.account = login)"
"""Whether an account has a second factor."""

FACTOR_KEY = "second_factor.key"
"""The file beside the database with the key that apps' secrets are sealed with: no copy of
``branch.db`` holds them in the clear. A backup without it leaves the recovery codes."""

ACCOUNTS = f"login, shown, role, disabled_ms, must_change, origin, subject, {FACTOR}"
"""All that an account is, in the order of :func:`to_account`."""

SESSIONS = "account, boot_id, began_boot_ms, seen_boot_ms"
"""All that a session is, in the order of :func:`to_session`."""

ACCOUNTS_SCHEMA = (
    """
    CREATE TABLE accounts (
        login TEXT NOT NULL PRIMARY KEY,
        shown TEXT NOT NULL,
        role TEXT NOT NULL,
        disabled_ms INTEGER,
        must_change INTEGER NOT NULL,
        origin TEXT NOT NULL,
        subject TEXT UNIQUE,
        password TEXT,
        used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sessions (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        account TEXT NOT NULL REFERENCES accounts (login) ON DELETE CASCADE,
        boot_id TEXT NOT NULL,
        began_boot_ms INTEGER NOT NULL,
        seen_boot_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX sessions_by_account ON sessions (account)",
    """
    CREATE TABLE sign_in_failures (
        mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 8),
        count INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        boot_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sign_in_salt (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        salt BLOB NOT NULL CHECK (length(salt) = 32)
    ) STRICT
    """,
)

FACTORS_SCHEMA = """
    CREATE TABLE second_factors (
        account TEXT NOT NULL PRIMARY KEY REFERENCES accounts (login) ON DELETE CASCADE,
        secret BLOB NOT NULL,
        step INTEGER NOT NULL,
        recovery BLOB NOT NULL CHECK (length(recovery) % 32 = 0)
    ) STRICT, WITHOUT ROWID
"""


def to_account(record: tuple[Any, ...]) -> Account:
    """Return the account of a record of :data:`ACCOUNTS`.

    Raises:
        TypeError, ValueError: it is none; the text may quote it.
    """
    login, shown, role, disabled_ms, must_change, origin, subject, factor = record
    return Account(
        name=login,
        shown=shown,
        role=Role(role),
        disabled=disabled_ms is not None,
        must_change=bool(must_change),
        origin=Origin(origin),
        subject=subject,
        second_factor=bool(factor),
    )


def to_session(record: tuple[Any, ...]) -> Session:
    """Return the session of a record of :data:`SESSIONS`.

    Raises:
        TypeError, ValueError: it is none.
    """
    account, boot_id, began_ms, seen_ms = record
    return Session(account, BootTime(boot_id, began_ms), BootTime(boot_id, seen_ms))
