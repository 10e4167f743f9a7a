from __future__ import annotations

import pytest

from doorctl.access.rights import CODES_APART, MIN_CODE_DIGITS, codes_allowed, guessable


@pytest.mark.parametrize(
    "code",
    [
        "123456",
        "654321",
        "890123",
        "210987",
        "111111",
        "111112",
        "121212",
        "123123",
        "010170",
        "701231",
        "701230",
        "123170",
        "12341234",
        "01011970",
        "19700101",
        "12312005",
        "19681228",
    ],
)
def test_what_people_try_first_is_never_issued(code: str) -> None:
    """Runs, repeats, few digits, and dates in any usual order."""
    assert guessable(code)


@pytest.mark.parametrize(
    "code",
    [
        *("482916", "135792", "994817", "48291637", "0048291", "99482916"),
        *("311382", "321182", "991248", "31129947"),
    ],
)
def test_other_codes_are_issued(code: str) -> None:
    """Most codes are nobody's first guess: a 13th month or a 32nd day is nobody's birthday."""
    assert not guessable(code)


def test_most_codes_remain() -> None:
    """What is left out leaves more than 8 of 10 codes, so guessing gains little by knowing it."""
    left = sum(not guessable(f"{number:06}") for number in range(7, 10**6, 101))

    assert left > 0.8 * 10**6 / 101


@pytest.mark.parametrize(("digits", "allowed"), [(4, 10), (5, 100), (6, 1000), (8, 100_000)])
def test_en_60839_11_1_t4_possible_to_allocated_codes(digits: int, allowed: int) -> None:
    """EN 60839-11-1 table 4, PIN only: at least 1000 possible codes for each one issued."""
    assert (codes_allowed(digits), type(codes_allowed(digits))) == (allowed, int)
    assert (CODES_APART, MIN_CODE_DIGITS) == (1000, 6)
