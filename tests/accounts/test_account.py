from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.accounts.account import (
    PERMITS,
    Account,
    Permission,
    Role,
    login_name,
    own_name,
    permits,
    refuse_account,
)
from doorctl.core.errors import InputError


@pytest.mark.parametrize("typed", ["grethe", " Grethe ", "abc@randers.example", "u-7.x_y+z", "a"])
def test_a_login_is_read_in_lower_case(typed: str) -> None:
    """However somebody types their login, it is the same account."""
    assert login_name(typed) == own_name(typed) == typed.strip().lower()


@pytest.mark.parametrize(
    "typed", ["", " ", "-x", "æble", "a b", "0101701234", "x3000001234", "a" * 65, "\u212a"]
)
def test_what_can_be_no_login_is_nobodys(typed: str) -> None:
    """Nor is a CPR or card number in the wrong field; the Kelvin sign is no k.

    What was written is not in the refusal.
    """
    assert login_name(typed) is None
    with pytest.raises(InputError) as refused:
        own_name(typed)
    assert "0101701234" not in str(refused.value)


@given(st.text())
def test_a_login_stays_what_it_is(typed: str) -> None:
    """Whatever is typed, its login is its own login: no account hides behind another's name."""
    name = login_name(typed)

    assert name is None or login_name(name) == name


@pytest.mark.parametrize(
    "wrong", [Account("Grethe", "G", Role.STAFF), Account("grethe", "", Role.STAFF)]
)
def test_an_account_without_a_proper_name_is_refused(wrong: Account) -> None:
    """It could not be signed in to, or colleagues would see nothing."""
    with pytest.raises(InputError):
        refuse_account(wrong)


def test_every_role_has_its_line() -> None:
    """A role without a line would raise at the first request instead of refusing."""
    assert set(PERMITS) == set(Role)


def test_everything_is_somebodys_and_nothing_is_everybodys_but_to_look() -> None:
    """No permission was forgotten, and what a viewer may do changes nothing and names nobody."""
    assert frozenset().union(*PERMITS.values()) == set(Permission)
    assert frozenset.intersection(*PERMITS.values()) == {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEE_STATISTICS,
    }


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        (Permission.ACCOUNTS, {Role.MANAGER}),
        (Permission.SUBJECT_RIGHTS, {Role.DPO}),
        (Permission.REVEAL, {Role.MANAGER, Role.DPO}),
        (Permission.EXPORT_LOG, {Role.MANAGER, Role.DPO}),
        (Permission.SEE_AUDIT, {Role.MANAGER, Role.DPO}),
        (Permission.SEARCH_LOG, {Role.STAFF, Role.MANAGER, Role.DPO}),
        (Permission.OPEN_ONCE, {Role.STAFF, Role.MANAGER, Role.TECHNICIAN}),
        (Permission.CHANGE_BANS, {Role.STAFF, Role.MANAGER}),
    ],
)
def test_what_weighs_most_is_for_few(permission: Permission, roles: set[Role]) -> None:
    """Who may see people by name, let somebody in or give out accounts is said here once more."""
    assert {role for role in Role if permits(role, permission)} == roles
