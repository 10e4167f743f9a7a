"""From a birthday, or a CPR number, to the day on which somebody is old enough."""

from __future__ import annotations

from datetime import date

REPLACEMENT_DAY = 60
"""Added to the day in the CPR number of somebody who has no real one (cpr.dk)."""

CENTURIES = {
    **dict.fromkeys("0123", (99, 1900, 1900)),
    **dict.fromkeys("49", (36, 2000, 1900)),
    **dict.fromkeys("5678", (57, 2000, 1800)),
}
"""Seventh digit -> last year of the first century, that century, the other one (da.wikipedia,
"CPR-nummer")."""


def born(cpr: str) -> date:
    """Return the birthday in a CPR number; right for most, since a number can be changed.

    Args:
        cpr: ten digits that pass :func:`doorctl.cards.cpr.is_cpr`.
    """
    day, month, year = int(cpr[:2]), int(cpr[2:4]), int(cpr[4:6])
    last, early, late = CENTURIES[cpr[6]]
    century = early if year <= last else late
    return date(century + year, month, day - REPLACEMENT_DAY * (day > REPLACEMENT_DAY))


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
