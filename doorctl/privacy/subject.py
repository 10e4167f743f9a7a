"""A person: the row keys and the number that one is known by, and what may be such a number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from doorctl.cards.identify import normalise
from doorctl.cards.numbers import is_cpr
from doorctl.core.errors import InputError
from doorctl.core.masked import IdentifierKind


class Decision(Enum):
    """What came of a person's objection (article 21)."""

    PENDING = "pending"
    UPHELD = "upheld"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, as far as the branch can identify one.

    `patron_ref`, the library system's number, is None where the branch does not know it.
    """

    row_keys: frozenset[bytes] = field(repr=False)
    patron_ref: str | None = field(default=None, repr=False)


LONGEST_REF = 64
"""In characters; a library system's own numbers have a dozen."""

_REF = re.compile(rf"[0-9A-Za-z][0-9A-Za-z._:-]{{0,{LONGEST_REF - 1}}}")


def may_be_cpr(typed: str) -> bool:
    """Tell whether a typed text is a CPR number, however it is spaced, or a health card's swipe.

    Ten digits that begin with a date are a CPR number, whatever stands between them.
    """
    digits = "".join(str(int(char)) for char in typed if char.isdecimal())
    return is_cpr(digits) or any(reading.kind is IdentifierKind.CPR for reading in normalise(typed))


def refuse_ref(typed: str) -> None:
    """Refuse a text that may not go on record as the number of an unknown patron.

    Call it only where nothing is held under it: a library system's number may look like anything.
    Raises InputError: it may be a CPR number, or is no number of a library system; it is not
    quoted.
    """
    if may_be_cpr(typed):
        raise InputError(
            "that may be a CPR number, which is never kept as it is; give it as the card and not "
            "as --patron-ref"
        )
    if typed and not _REF.fullmatch(typed):
        raise InputError(
            f"a number in the library system is at most {LONGEST_REF} letters, digits, dots, "
            "colons and hyphens"
        )
