from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.accounts.account import Account, Role, login_name, own_name, refuse_account
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
