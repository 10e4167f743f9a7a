from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.numbers import birth_date, is_cpr


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
