"""Staff accounts for the pages and for root's commands: all of them, and a new password's hash."""

from __future__ import annotations

from contextlib import closing

from doorctl.accounts.account import (
    Account,
    own_name,
)
from doorctl.accounts.password import Password, PasswordHasher, refuse_password
from doorctl.lookup.app import App
from doorctl.store.accounts import AccountRecords
from doorctl.store.sign_in import ArgonPasswords


def hashed(password: Password, name: str, hasher: PasswordHasher | None = None) -> str:
    """Return the hash of a new password for the login `name`: stretched here and nowhere else.

    Raises InputError: it is easy to guess; says why.
    """
    refuse_password(password, own_name(name))
    return (hasher or ArgonPasswords()).hashed(password)


def every_account(app: App) -> tuple[Account, ...]:
    """Return all accounts, in order of their logins."""
    with closing(AccountRecords(app.storage.branch_db)) as records:
        return records.every()
