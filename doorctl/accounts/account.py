"""A member of staff's account: a login, the name that colleagues see, a role, whether it works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from doorctl.core.errors import InputError
from doorctl.core.masked import Masked
from doorctl.core.staff_text import refuse_text

# Roles and what each may do: one table, checked at every request.


class Role(Enum):
    """A person's job at the branch; the values are fixed names in files and scripts."""

    VIEWER = "viewer"
    STAFF = "staff"
    MANAGER = "manager"
    DPO = "dpo"
    TECHNICIAN = "technician"


class Permission(Enum):
    """A thing that a role may or may not do; the values are fixed names too."""

    SEE_LOG = "see_log"
    SEARCH_LOG = "search_log"
    REVEAL = "reveal"
    EXPORT_LOG = "export_log"
    SEE_NOW = "see_now"
    OPEN_ONCE = "open_once"
    SET_MODE = "set_mode"
    ACKNOWLEDGE = "acknowledge"
    EXPLAIN = "explain"
    SEE_BANS = "see_bans"
    CHANGE_BANS = "change_bans"
    SEE_PASSES = "see_passes"
    CHANGE_PASSES = "change_passes"
    SEE_CALENDAR = "see_calendar"
    CHANGE_CALENDAR = "change_calendar"
    SEE_STATISTICS = "see_statistics"
    SUBJECT_RIGHTS = "subject_rights"
    SEE_AUDIT = "see_audit"
    ACCOUNTS = "accounts"
    HOLD = "hold"


_VIEWER = frozenset(
    {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEE_CALENDAR,
        Permission.SEE_STATISTICS,
    }
)
_STAFF = _VIEWER | {
    Permission.SEARCH_LOG,
    Permission.OPEN_ONCE,
    Permission.SET_MODE,
    Permission.ACKNOWLEDGE,
    Permission.EXPLAIN,
    Permission.SEE_BANS,
    Permission.CHANGE_BANS,
    Permission.SEE_PASSES,
    Permission.CHANGE_PASSES,
    Permission.CHANGE_CALENDAR,
}
_MANAGER = _STAFF | {
    Permission.REVEAL,
    Permission.EXPORT_LOG,
    Permission.SEE_AUDIT,
    Permission.ACCOUNTS,
    Permission.HOLD,
}
# Looks at everything that is kept of people, and changes nothing at the door.
_DPO = frozenset(
    {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEARCH_LOG,
        Permission.REVEAL,
        Permission.EXPORT_LOG,
        Permission.SEE_STATISTICS,
        Permission.SUBJECT_RIGHTS,
        Permission.SEE_AUDIT,
        Permission.HOLD,
    }
)
# Works on the door, and looks at nobody by name.
_TECHNICIAN = _VIEWER | {Permission.ACKNOWLEDGE, Permission.SET_MODE, Permission.OPEN_ONCE}

PERMITS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.STAFF: _STAFF,
        Role.MANAGER: _MANAGER,
        Role.DPO: _DPO,
        Role.TECHNICIAN: _TECHNICIAN,
    }
)
"""What each role may do; anything else is refused."""


def permits(role: Role, permission: Permission) -> bool:
    """Tell whether a role may do a thing."""
    return permission in PERMITS[role]


LONGEST_NAME = 64

_NAME = re.compile(rf"[a-z0-9][a-z0-9._@+-]{{0,{LONGEST_NAME - 1}}}")

KEEPERS = frozenset({Role.MANAGER, Role.TECHNICIAN})
"""One local account of these roles must work: the identity provider may be down."""


class Origin(Enum):
    """Who checks a person's identity; the values are fixed names."""

    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its password.

    Args:
        shown: what colleagues see; the name of the duty for an account that several people use.
        must_change: somebody else chose the password, so it has to be changed first.
        subject: the identity provider's own name for it, None for a local one.
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
        """Whether one of :data:`KEEPERS` can sign in to it, whatever else is down."""
        return not self.disabled and self.origin is Origin.LOCAL and self.role in KEEPERS


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A person's second proof of identity, beside the password.

    Args:
        secret: what the app makes codes from, in base32; None where it can't be read.
        step: the last step of 30 seconds whose code was used: an older one never counts again.
        recovery: the SHA-256 of each recovery code that is left.
    """

    secret: Masked[str] | None
    step: int = 0
    recovery: frozenset[bytes] = field(default=frozenset(), repr=False)


def login_name(typed: str) -> str | None:
    """Return the login that was typed, in lower case; None for a text that can be no login.

    A text with as many digits in a row as a CPR or card number is no login.
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
    """Return the login that was written, in lower case.

    Raises:
        InputError: it can be no login; says what a login is, and not what was written.
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
        InputError: its login or shown name is not valid; says what one is.
    """
    if own_name(account.name) != account.name:
        raise InputError("a login is stored in lower case")
    refuse_text("shown name", account.shown, longest=LONGEST_NAME)


# Events of the sign-in, for the audit log: logins, roles and counts, never what a person typed.


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
class Event:
    """What goes on the audit log: its action's name, the account that did it, and the details."""

    action: str
    by: str
    details: Mapping[str, int | str] = field(default_factory=dict)


def sign_in_refused(account: str | None, why: Refusal, wait_s: int = 0) -> Event:
    """Return the event of a refused sign-in; `account` is None where there is no such account."""
    known = {} if account is None else {"account": account}
    return Event("sign_in_refused", NOBODY, {**known, "why": why.value, "wait_s": wait_s})
