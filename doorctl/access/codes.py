"""Codes that the library issues in place of a card: how long, how many, and which never.

A code is secret and name in one, so whoever guesses any of them is in.
"""

from __future__ import annotations

from itertools import pairwise

MIN_CODE_DIGITS = 6
"""With fewer, 100 codes could not be issued (EN 60839-11-1, table 4, by :data:`CODES_APART`)."""

MAX_CODE_DIGITS = 9
"""Ten digits would read as a CPR or card number."""

CODES_APART = 1000
"""Possible codes for each one issued: EN 60839-11-1, table 4, "possible : allocated"."""

MIN_DIFFERENT_DIGITS = 4
"""111112 and 131313 are what people try first."""


def codes_allowed(digits: int) -> int:
    """Tell how many codes of so many digits may be in force at a time: 1000 for six."""
    possible: int = 10**digits
    return possible // CODES_APART


def guessable(code: str) -> bool:
    """Tell whether a code of digits is one that people try first, so that it is never issued.

    That is a run up or down (also past 9), few different digits, one group repeated, or a date in
    any of the usual orders: dates are birthdays.
    """
    return (
        len(set(code)) < MIN_DIFFERENT_DIGITS
        or _is_run(code)
        or _repeats_a_group(code)
        or _reads_as_date(code)
    )


def _is_run(code: str) -> bool:
    steps = {(int(later) - int(earlier)) % 10 for earlier, later in pairwise(code)}
    return steps in ({1}, {9})


def _repeats_a_group(code: str) -> bool:
    # Whatever repeats itself is found in its own double before the double's second half.
    return (code + code).find(code, 1) < len(code)


def _reads_as_date(code: str) -> bool:
    if len(code) == 8:  # noqa: PLR2004 -- ddmmyyyy and the like
        return any(
            code[year : year + 2] in {"19", "20"} and _has_date(code[:year] + code[year + 2 :])
            for year in (0, 4)
        )
    return len(code) == 6 and _has_date(code)  # noqa: PLR2004 -- ddmmyy and the like


def _has_date(code: str) -> bool:
    first, second, third = (int(code[start : start + 2]) for start in (0, 2, 4))
    day_month_pairs = ((first, second), (second, first), (third, second))
    return any(1 <= day <= 31 and 1 <= month <= 12 for day, month in day_month_pairs)  # noqa: PLR2004
