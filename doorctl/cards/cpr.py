"""CPR numbers: which ten digits can be one."""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType

_TEN_DIGITS = re.compile(r"[0-9]{10}")

_REPLACEMENT_DAY = 60
"""Added to the day of an erstatningspersonnummer (cpr.dk), so that it shows as days 61-91."""

_CENTURIES = MappingProxyType(
    {
        **dict.fromkeys("0123", (-1, 1900)),
        **dict.fromkeys("49", (36, 1900)),
        **dict.fromkeys("5678", (57, 1800)),
    }
)
"""Seventh digit -> the last two-digit year that it places after 1999, and the century of all later
ones (da.wikipedia, CPR-nummer)."""


def is_cpr(digits: str) -> bool:
    """Tell whether `digits` are ten ASCII digits that begin with a real date.

    Modulus 11 is not asked: numbers without it are valid since 2007 (cpr.dk). The date is not
    compared with today's: a Pi with a wrong clock would turn away children.
    """
    return birth_date(digits) is not None


def birth_date(digits: str) -> date | None:
    """Return the birthday in a CPR number; right for most, since a number can be changed.

    A replacement number (day + 60) has one as well. None for what is no CPR number.
    """
    if not _TEN_DIGITS.fullmatch(digits):
        return None
    day = int(digits[:2])
    if day > _REPLACEMENT_DAY:
        day -= _REPLACEMENT_DAY
    try:
        return date(_year(digits[6], int(digits[4:6])), int(digits[2:4]), day)
    except ValueError:
        return None


def _year(seventh_digit: str, two_digits: int) -> int:
    latest, century = _CENTURIES[seventh_digit]
    return two_digits + (2000 if two_digits <= latest else century)
