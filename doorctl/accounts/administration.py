"""Changes of accounts, each inside the writer's one transaction; each ends the account's sessions.

All but :func:`add` raise InputError where no account has the login; those that change an account
return it as it is afterwards.

One local account of :data:`KEEPERS` has to work always: it is the way in while the identity
provider is down. Root on the machine can add another one.
"""

from __future__ import annotations

from dataclasses import replace

from doorctl.accounts.account import Account, Origin, Role, refuse_account
from doorctl.accounts.ports import Books
from doorctl.accounts.throttle import NONE
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment

ACCOUNT = "account"


def add(books: Books, account: Account, hashed: str, moment: Moment) -> Account:
    """Add a local account with the hash of its password; return it.

    Raises:
        InputError: the login is taken, or something of the account can't be stored.
    """
    refuse_account(account)
    if books.accounts.find(account.name) is not None:
        raise InputError(f"there is an account {account.name} already; list them")
    books.accounts.keep(account, moment)
    books.accounts.keep_password(account.name, hashed)
    books.failures.keep(ACCOUNT, account.name, NONE)
    return account


def set_role(books: Books, name: str, role: Role, moment: Moment) -> Account:
    """Give an account another role.

    Raises:
        InputError: it is the last one that keeps the house, or the identity provider gives its
            role.
    """
    account = _found(books, name)
    if account.origin is not Origin.LOCAL:
        raise InputError(f"the role of {name} follows its groups at the identity provider")
    return _changed(books, account, replace(account, role=role), moment)


def disable(books: Books, name: str, moment: Moment) -> Account:
    """Let nobody sign in to an account any more.

    Raises:
        InputError: it is the last one that keeps the house.
    """
    account = _found(books, name)
    return _changed(books, account, replace(account, disabled=True), moment)


def enable(books: Books, name: str, moment: Moment) -> Account:
    """Let staff sign in to an account again, and forget its failures."""
    account = _found(books, name)
    books.failures.keep(ACCOUNT, name, NONE)
    return _changed(books, account, replace(account, disabled=False), moment)


def set_password(
    books: Books, name: str, hashed: str, moment: Moment, *, must_change: bool
) -> Account:
    """Give an account another password, and forget its failures.

    Raises:
        InputError: the identity provider has its password.
    """
    account = _found(books, name)
    if account.origin is not Origin.LOCAL:
        raise InputError(f"the password of {name} is the identity provider's")
    books.accounts.keep_password(name, hashed)
    books.failures.keep(ACCOUNT, name, NONE)
    return _changed(books, account, replace(account, must_change=must_change), moment)


def reset_factor(books: Books, name: str, moment: Moment) -> Account:
    """Remove an account's second factor, when its owner has lost it.

    Raises:
        InputError: it has none.
    """
    account = _found(books, name)
    if not account.second_factor:
        raise InputError(f"{name} has no second factor that could be reset")
    books.accounts.keep_factor(name, None)
    return _changed(books, account, replace(account, second_factor=False), moment)


def sign_out_everywhere(books: Books, name: str) -> int:
    """End all sessions of an account; return how many there were."""
    return books.sessions.end_all(_found(books, name).name)


def _found(books: Books, name: str) -> Account:
    account = books.accounts.find(name)
    if account is None:
        raise InputError(f"there is no account {name}; list them")
    return account


def _changed(books: Books, before: Account, after: Account, moment: Moment) -> Account:
    if before.keeps_the_house and not after.keeps_the_house:
        others = (one for one in books.accounts.every() if one.name != before.name)
        if not any(one.keeps_the_house for one in others):
            raise InputError(
                f"{before.name} is the last local manager or technician who can sign in; add "
                "another one first"
            )
    books.accounts.keep(after, moment)
    books.sessions.end_all(after.name)
    return after
