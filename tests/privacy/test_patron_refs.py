"""What staff may type as a patron's number in the library system.

Bug (attack review): a CPR number as a patron's number, as a hold's case or with commas stood in the
clear; a ban by it banned nobody.
"""

from __future__ import annotations

import pytest

from doorctl.core.errors import InputError
from doorctl.privacy.subject import LONGEST_REF, may_be_cpr, refuse_ref


@pytest.mark.parametrize(
    "typed",
    [
        "0101701234",
        "010170-1234",
        " 01 01 70 / 1234 ",
        "010170\u20131234",
        "610170.1234",
        "٠١٠١٧٠١٢٣٤",
        "cpr 0101701234",
        "0101701234AB",
        "01017012345",
    ],
)
def test_what_may_be_a_cpr_number(typed: str) -> None:
    """However it is spaced, a replacement number too, and never quoted."""
    assert may_be_cpr(typed)
    with pytest.raises(InputError, match="CPR number") as refusal:
        refuse_ref(typed)
    assert typed not in str(refusal.value)


@pytest.mark.parametrize(
    "typed",
    ["1001", "the-person-1001", "sip2-0f3a", "3201701234", "0101701234567", "1" * 64],
)
def test_what_may_be_a_library_systems_number(typed: str) -> None:
    """Ten digits that are no date too."""
    assert not may_be_cpr(typed)
    refuse_ref(typed)


@pytest.mark.parametrize("typed", ["Anna And", ";3000001234?", "-1", "ø7", "1" * (LONGEST_REF + 1)])
def test_what_is_no_number(typed: str) -> None:
    """A name, a swipe, what is too long."""
    with pytest.raises(InputError, match="at most 64"):
        refuse_ref(typed)


def test_nothing_is_nobody() -> None:
    """That is for whoever needs somebody to say."""
    refuse_ref("")
