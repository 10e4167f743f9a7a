"""What sign-ins and changes of accounts are on the audit log: logins, roles and counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from doorctl.accounts.account import Account
from doorctl.accounts.events import (
    AccountProvided,
    Event,
    PasswordChanged,
    SecondFactorSet,
    SignedIn,
    SignedOut,
    SignInRefused,
)
from doorctl.privacy.audit import Action, Deed
from doorctl.transports.account_requests import (
    AddAccount,
    DisableAccount,
    EnableAccount,
    ResetFactor,
    SetPassword,
    SetRole,
    SignOutEverywhere,
)

NOBODY = "(not signed in)"
"""Who it was that was refused."""

PROVIDER = "(identity provider)"
"""Who it was that gave an account its role."""


def told(event: Event) -> tuple[Deed, str]:
    """Return what an event is on the audit log, and by whom."""
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
