from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.cpr import is_cpr
from doorctl.sync.ages import born, old_enough_from


@pytest.mark.parametrize(
    ("birthday", "minimum_age", "day"),
    [
        (date(2012, 5, 17), 14, date(2026, 5, 17)),
        (date(2012, 2, 29), 14, date(2026, 3, 1)),
        (date(2012, 2, 29), 16, date(2028, 2, 29)),
        (date(2012, 12, 31), 0, date(2012, 12, 31)),
        (date(2199, 12, 31), 120, date(2319, 12, 31)),
    ],
)
def test_the_day_on_which_somebody_is_old_enough(
    birthday: date, minimum_age: int, day: date
) -> None:
    """It is the birthday; for the 29th of February the 1st of March where there is no 29th."""
    assert old_enough_from(birthday, minimum_age) == day


@given(st.dates(date(1850, 1, 1), date(2199, 12, 31)), st.integers(0, 120))
def test_nobody_is_old_enough_a_day_early(birthday: date, minimum_age: int) -> None:
    """On the day itself, and not before it, the years of age are complete."""
    day = old_enough_from(birthday, minimum_age)
    years = day.year - birthday.year

    assert years == minimum_age
    assert (day.month, day.day) >= (birthday.month, birthday.day)


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
    assert born(cpr) == birthday


@given(st.from_regex(r"[0-9]{10}", fullmatch=True).filter(str.isascii))
def test_every_cpr_number_has_a_birthday(cpr: str) -> None:
    """What the cards room takes for a CPR number has a date here, and the same days and months."""
    if not is_cpr(cpr):
        with pytest.raises(ValueError, match=r"day|month"):
            born(cpr)
    else:
        assert f"{born(cpr):%m}" == cpr[2:4]
