from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.numbers import birth_date, is_cpr


@pytest.mark.parametrize("seventh", "0123456789")
def test_each_seventh_digit_places_the_years_as_the_table_says(seventh: str) -> None:
    """An oracle of its own: the table written out as ranges of whole years."""
    years = {
        **dict.fromkeys("0123", range(1900, 2000)),
        **dict.fromkeys("49", range(1937, 2037)),
        **dict.fromkeys("5678", range(1958 - 100, 1900)),
    }[seventh]
    by_two_digits = {year % 100: year for year in years}
    if seventh in "5678":
        by_two_digits |= {year % 100: year for year in range(2000, 2058)}

    for two_digits, year in by_two_digits.items():
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert is_cpr(f"2902{two_digits:02d}{seventh}111") is leap, year


@pytest.mark.parametrize(
    "digits",
    [
        "0001701234",
        "3201701234",
        "6001701234",
        "9201701234",
        "9104701234",
        "0100701234",
        "0113701234",
        "3104701234",
        "9902701234",
    ],
)
def test_an_impossible_date_is_no_cpr_number(digits: str) -> None:
    """Days 0, 32-60 and 92-99, months 0 and 13, and the 31st of April do not exist."""
    assert not is_cpr(digits)


@pytest.mark.parametrize(
    "text",
    ["", "010170123", "01017012345", "010170-1234", "٠١٠١٧٠١٢٣٤", "010170123²", " 101701234"],
)
def test_only_ten_ascii_digits_are_asked_for_a_date(text: str) -> None:
    """Digits of other scripts are no digits of a card."""
    assert not is_cpr(text)


@given(st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 3999))
def test_the_checksum_is_never_a_reason(day: date, number: int) -> None:
    """Every real date with every number is accepted, whatever modulus 11 says."""
    assert is_cpr(f"{day:%d%m%y}{number:04d}")


@pytest.mark.parametrize(
    ("cpr", "birthday"),
    [
        ("1705000123", date(1900, 5, 17)),
        ("1705993123", date(1999, 5, 17)),
        ("1705364123", date(2036, 5, 17)),
        ("1705374123", date(1937, 5, 17)),
        ("1705369123", date(2036, 5, 17)),
        ("1705379123", date(1937, 5, 17)),
        ("1705575123", date(2057, 5, 17)),
        ("1705588123", date(1858, 5, 17)),
        ("7705155123", date(2015, 5, 17)),
        ("2902004123", date(2000, 2, 29)),
        ("8902004123", date(2000, 2, 29)),
        ("6101701234", date(1970, 1, 1)),
        ("9101701234", date(1970, 1, 31)),
    ],
)
def test_a_cpr_number_tells_the_birthday(cpr: str, birthday: date) -> None:
    """The seventh digit tells the century, at both edges; day + 60 is a replacement number."""
    assert is_cpr(cpr)
    assert birth_date(cpr) == birthday


@given(st.from_regex(r"[0-9]{10}", fullmatch=True).filter(str.isascii))
def test_every_cpr_number_has_a_birthday(cpr: str) -> None:
    """A CPR number has a date, of its own month; whatever is none has none."""
    born = birth_date(cpr)

    assert is_cpr(cpr) == (born is not None)
    if born is not None:
        assert f"{born:%m}" == cpr[2:4]
