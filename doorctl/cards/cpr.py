"""CPR numbers: which ten digits can be one."""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType

_TEN_DIGITS = re.compile(r"[0-9]{10}")

_REPLACEMENT_DAY = 60
"""Added to the day of an erstatningspersonnummer (cpr.dk), so that it shows as days 61-91."""

_LATEST_OF_THE_2000S = MappingProxyType({"4": 36, "9": 36, "5": 57, "6": 57, "7": 57, "8": 57})
"""Seventh digit -> the last two-digit year that it places after 1999 (da.wikipedia, CPR-nummer)."""


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
    if seventh_digit in "0123":
        return 1900 + two_digits
    if two_digits <= _LATEST_OF_THE_2000S[seventh_digit]:
        return 2000 + two_digits
    return two_digits + (1900 if seventh_digit in "49" else 1800)
