from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.sync.rows import old_enough_from


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
