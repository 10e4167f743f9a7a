"""Changes of staff accounts, and what each is on the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from doorctl.accounts import administration
from doorctl.accounts.account import (
    Account,
    AccountProvided,
    Event,
    PasswordChanged,
    Role,
    SecondFactorSet,
    SignedIn,
    SignedOut,
    SignInRefused,
)
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.requests import OpenBranch

# A password is stretched before: neither the socket nor the file ever has it.


@dataclass(frozen=True, slots=True)
class AddAccount:
    """Add a local account; returns it."""

    account: Account
    hashed: str = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Add it."""
        return administration.add(branch.staff, self.account, self.hashed, moment)


@dataclass(frozen=True, slots=True)
class SetRole:
    """Give an account another role, which ends its sessions."""

    name: str
    role: Role

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_role(branch.staff, self.name, self.role, moment)


@dataclass(frozen=True, slots=True)
class DisableAccount:
    """Let nobody sign in to an account any more, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Disable it."""
        return administration.disable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class EnableAccount:
    """Let an account be signed in to again, at once."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Enable it."""
        return administration.enable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Give an account another password, which ends its sessions."""

    name: str
    hashed: str = field(repr=False)
    must_change: bool = False

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_password(
            branch.staff, self.name, self.hashed, moment, must_change=self.must_change
        )


@dataclass(frozen=True, slots=True)
class ResetFactor:
    """Take an account's second factor, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Take it."""
        return administration.reset_factor(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SignOutEverywhere:
    """End all sessions of an account; returns their number."""

    name: str

    def carried_out(self, branch: OpenBranch, _moment: Moment) -> int:
        """End them."""
        return administration.sign_out_everywhere(branch.staff, self.name)


# Audit entries of sign-ins and changes of accounts: logins, roles and counts.

NOBODY = "(not signed in)"
"""The actor of a refused sign-in on the audit log."""

PROVIDER = "(identity provider)"
"""The actor on the audit log when the identity provider gives an account its role."""


def told(event: Event) -> tuple[Deed, str]:
    """Return the audit entry of an event, and its actor."""
    match event:
        case SignedIn(account, codes_left):
            left = {} if codes_left is None else {"codes_left": codes_left}
            return Deed(Action.SIGNED_IN, details=left), account
        case SignedOut(account, sessions):
            return Deed(Action.SIGNED_OUT, details={"sessions": sessions}), account
        case PasswordChanged(account):
            return Deed(Action.ACCOUNT_PASSWORD_SET, details={"account": account}), account
        case SecondFactorSet(account):
            return Deed(Action.ACCOUNT_FACTOR_SET, details={"account": account}), account
        case AccountProvided(account, role):
            details: dict[str, int | str] = {"account": account, "role": role, "signed_in": 1}
            return Deed(Action.ACCOUNT_CHANGED, details=details), PROVIDER
        case SignInRefused(account, why, wait_s):
            known = {} if account is None else {"account": account}
            refused = {**known, "why": why.value, "wait_s": wait_s}
            return Deed(Action.SIGN_IN_REFUSED, details=refused), NOBODY


def _added(_asked: AddAccount, account: Account) -> Deed:
    details = {"account": account.name, "role": account.role.value}
    return Deed(Action.ACCOUNT_ADDED, details=details)


def _role_set(_asked: SetRole, account: Account) -> Deed:
    details = {"account": account.name, "role": account.role.value}
    return Deed(Action.ACCOUNT_CHANGED, details=details)


def _disabled(_asked: DisableAccount, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_DISABLED, details={"account": account.name})


def _enabled(_asked: EnableAccount, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_ENABLED, details={"account": account.name})


def _password_set(_asked: SetPassword, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_PASSWORD_SET, details={"account": account.name})


def _factor_reset(_asked: ResetFactor, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_FACTOR_RESET, details={"account": account.name})


def _signed_out(asked: SignOutEverywhere, sessions: int) -> Deed:
    return Deed(Action.SIGNED_OUT, details={"account": asked.name, "sessions": sessions})


ACCOUNT_DEEDS: Mapping[type[Any], Callable[[Any, Any], Deed]] = MappingProxyType(
    {
        AddAccount: _added,
        SetRole: _role_set,
        DisableAccount: _disabled,
        EnableAccount: _enabled,
        SetPassword: _password_set,
        ResetFactor: _factor_reset,
        SignOutEverywhere: _signed_out,
    }
)
"""Every request has its deed."""
