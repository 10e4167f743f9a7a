"""From a birthday to the day on which somebody is old enough."""

from __future__ import annotations

from datetime import date

EARLIEST_BIRTH = date(1850, 1, 1)
"""Exports write an unknown date as 0001-01-01; read as a birthday it would let every child in."""

LATEST_BIRTH = date(2199, 12, 31)
"""Far from the calendar's end, so that an age limit can always be added."""


def is_birthday(day: date) -> bool:
    """Tell whether somebody now alive can have been born on a day."""
    return EARLIEST_BIRTH <= day <= LATEST_BIRTH


def old_enough_from(birthday: date, minimum_age: int) -> date:
    """Return the day on which somebody turns `minimum_age` years.

    Born on 29 February: 1 March in a year without that day, since a year of age is complete only
    when its last day is over.

    Args:
        birthday: up to the year 2199.
        minimum_age: in whole years, 0 or more.
    """
    year = birthday.year + minimum_age
    try:
        return date(year, birthday.month, birthday.day)
    except ValueError:
        return date(year, 3, 1)
