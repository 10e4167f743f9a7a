"""Codes that the library issues in place of a card: how long, how many, and which never.

A code is secret and name in one, so a person who guesses any of them is in.
"""

from __future__ import annotations

import re
from itertools import pairwise

MIN_CODE_DIGITS = 6
"""With fewer, 100 codes could not be issued (EN 60839-11-1, table 4, by :data:`CODES_APART`)."""

MAX_CODE_DIGITS = 9
"""Ten digits would read as a CPR or card number."""

CODES_APART = 1000
"""Possible codes for each one issued: EN 60839-11-1, table 4, "possible : allocated"."""

MIN_DIFFERENT_DIGITS = 4
"""111112 and 131313 are what people try first."""


_DAY, _MONTH, _YEAR = "(0[1-9]|[12][0-9]|3[01])", "(0[1-9]|1[0-2])", "((19|20)?[0-9]{2})"
_DATE = re.compile(f"{_DAY}{_MONTH}{_YEAR}|{_MONTH}{_DAY}{_YEAR}|{_YEAR}{_MONTH}{_DAY}")


def guessable(code: str) -> bool:
    """Tell whether people try this code first: a run, few digits, a repeated group, or a date."""
    steps = {(int(later) - int(earlier)) % 10 for earlier, later in pairwise(code)}
    return (
        len(set(code)) < MIN_DIFFERENT_DIGITS
        or steps in ({1}, {9})
        # A text that repeats itself is found in its own double before the double's second half.
        or (code + code).find(code, 1) < len(code)
        or _DATE.fullmatch(code) is not None
    )
