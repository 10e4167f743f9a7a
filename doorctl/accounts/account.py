"""A member of staff's account: a login, the name that colleagues see, a role, whether it works."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from doorctl.access.staff_text import refuse_text
from doorctl.accounts.roles import Role
from doorctl.errors import InputError
from doorctl.masked import Masked

LONGEST_NAME = 64

_NAME = re.compile(rf"[a-z0-9][a-z0-9._@+-]{{0,{LONGEST_NAME - 1}}}")

KEEPERS = frozenset({Role.MANAGER, Role.TECHNICIAN})
"""Roles of which one local account has to work: else nobody gets in while the provider is down."""


class Origin(Enum):
    """Who says that somebody is who they are; the values are fixed names."""

    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its password.

    Args:
        name: the login, as :func:`login_name` returns it.
        shown: what colleagues see; for a duty account rather the duty than a person.
        role: what it may do.
        disabled: it can't be signed in to.
        must_change: somebody else chose the password, so it has to be changed first.
        origin: who checks who it is.
        subject: the identity provider's own name for it, None for a local one.
        second_factor: a code is asked for beside the password; kept apart from the rest.
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
    def keeps_the_house(self) -> bool:
        """Whether it can be signed in to, whatever else is down, by one of :data:`KEEPERS`."""
        return not self.disabled and self.origin is Origin.LOCAL and self.role in KEEPERS


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What proves beside the password who somebody is.

    Args:
        secret: what their app makes codes of, in base32; None where it can't be read.
        step: the last step of 30 seconds whose code was used: an older one never counts again.
        recovery: the SHA-256 of each recovery code that is left.
    """

    secret: Masked[str] | None
    step: int = 0
    recovery: frozenset[bytes] = field(default=frozenset(), repr=False)


def login_name(typed: str) -> str | None:
    """Return the login that somebody typed, in lower case; None for what can be nobody's.

    What has so many digits in a row as a CPR or card number is nobody's.
    """
    name = typed.strip().lower()
    if not typed.isascii() or _NAME.fullmatch(name) is None:
        return None
    try:
        refuse_text("login", name, longest=LONGEST_NAME)
    except InputError:
        return None
    return name


def own_name(typed: str) -> str:
    """Return the login that somebody wrote, in lower case.

    Raises:
        InputError: it can be nobody's; says what a login is, and not what was written.
    """
    name = login_name(typed)
    if name is None:
        raise InputError(
            f"a login is 1 to {LONGEST_NAME} of a-z, 0-9, ., _, @, + and -, begins with a letter "
            "or digit, and has no 8 digits in a row"
        )
    return name


def refuse_account(account: Account) -> None:
    """Refuse an account that can't be stored.

    Raises:
        InputError: its login or shown name is none; says what one is.
    """
    if own_name(account.name) != account.name:
        raise InputError("a login is stored in lower case")
    refuse_text("shown name", account.shown, longest=LONGEST_NAME)
