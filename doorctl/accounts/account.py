"""Staff accounts: logins, who checks a person's identity, and why a sign-in was refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from doorctl.accounts.roles import KEEPERS, Role
from doorctl.core.errors import InputError
from doorctl.core.masked import Masked
from doorctl.core.texts import refuse_text

LONGEST_NAME = 64

_NAME = re.compile(rf"[a-z0-9][a-z0-9._@+-]{{0,{LONGEST_NAME - 1}}}")


class Origin(Enum):
    """Who checks a person's identity; the values are fixed names."""

    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its password; `shown` is the duty's name where several people use it.

    `must_change`: somebody else chose the password. `subject` is the provider's own name for it.
    """

    name: str
    shown: str
    role: Role
    disabled: bool = False
    must_change: bool = False
    origin: Origin = Origin.LOCAL
    subject: str | None = None
    second_factor: bool = False

    @property
    def has_password(self) -> bool:
        """Whether the branch keeps a password, which its owner may change."""
        return self.origin is Origin.LOCAL

    @property
    def keeps_the_house(self) -> bool:
        """Whether one of :data:`KEEPERS` can sign in to it, whatever else is down."""
        return not self.disabled and self.has_password and self.role in KEEPERS


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in. Only a `fresh` sign-in may change accounts and end sessions.

    Users whose account `must_change` its password, or who `must_enrol` a second factor, do that
    first.
    """

    account: Account
    fresh: bool = False
    must_enrol: bool = False


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A person's second proof of identity, beside the password.

    `secret` is base32, None where it can't be read; `step` the last step of 30 s whose code was
    used; `recovery` the SHA-256 of each recovery code that is left.
    """

    secret: Masked[str] | None
    step: int = 0
    recovery: frozenset[bytes] = field(default=frozenset(), repr=False)


def login_name(typed: str) -> str | None:
    """Return the login that was typed, in lower case; None for a text that can be no login."""
    name = typed.strip().lower()
    if not typed.isascii() or _NAME.fullmatch(name) is None:
        return None
    try:
        refuse_text("login", name, longest=LONGEST_NAME)
    except InputError:
        return None
    return name


def own_name(typed: str) -> str:
    """Return the login that was written, in lower case; InputError says what a login is."""
    name = login_name(typed)
    if name is None:
        raise InputError(
            f"a login is 1 to {LONGEST_NAME} of a-z, 0-9, ., _, @, + and -, begins with a letter "
            "or digit, and has no 8 digits in a row"
        )
    return name


def refuse_account(account: Account) -> None:
    """Raise InputError where an account's login or shown name is not valid."""
    if own_name(account.name) != account.name:
        raise InputError("a login is stored in lower case")
    refuse_text("shown name", account.shown, longest=LONGEST_NAME)


class Refusal(Enum):
    """Why a sign-in was refused; for the audit log alone, the page does not tell them apart."""

    WRONG = "wrong"
    DISABLED = "disabled"
    NO_ROLE = "no_role"
    NAME_TAKEN = "name_taken"


NOBODY = "(not signed in)"
"""The actor of a refused sign-in on the audit log."""

PROVIDER = "(identity provider)"
"""The actor on the audit log when the identity provider gives an account its role."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way at the identity provider; `verifier` proves that the browser began it."""

    state: Masked[str]
    nonce: Masked[str]
    verifier: Masked[str]


@dataclass(frozen=True, slots=True)
class Claims:
    """What the identity provider says of a person, after its signature was checked.

    `subject` is its own name for them, which never goes to somebody else; `name` is the login.
    """

    subject: str = field(repr=False)
    name: str = field(repr=False)
    shown: str = field(repr=False)
    groups: frozenset[str] = field(repr=False)
