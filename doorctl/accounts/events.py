"""What happens at the sign-in, for the audit log; none holds what somebody typed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """Why somebody was not let in; for the audit log alone, the page does not tell them apart."""

    WRONG = "wrong"
    DISABLED = "disabled"
    NO_ROLE = "no_role"
    NAME_TAKEN = "name_taken"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody signed in.

    Args:
        account: the login.
        codes_left: how many recovery codes are left, where they have just used one.
    """

    account: str
    codes_left: int | None = None


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Somebody was not let in.

    Args:
        account: the account's login; None where there is none of that name.
        why: the reason.
        wait_s: how long the next try has to wait.
    """

    account: str | None
    why: Refusal
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Somebody signed out, here or everywhere.

    Args:
        account: the login.
        sessions: how many sessions ended.
    """

    account: str
    sessions: int


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """Somebody changed their own password, which ended all their other sessions."""

    account: str


@dataclass(frozen=True, slots=True)
class SecondFactorSet:
    """Somebody gave their own account a second factor, which ended all their other sessions."""

    account: str


@dataclass(frozen=True, slots=True)
class AccountProvided:
    """The identity provider sent somebody who was not here before, or has another role now."""

    account: str
    role: str


Event = SignedIn | SignInRefused | SignedOut | PasswordChanged | SecondFactorSet | AccountProvided
