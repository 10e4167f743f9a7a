"""What staff may type as a patron's number in the library system: it is kept as it is typed."""

from __future__ import annotations

import re

from doorctl.cards.cpr import is_cpr
from doorctl.cards.identify import normalise
from doorctl.errors import InputError
from doorctl.masked import IdentifierKind

LONGEST_REF = 64
"""In characters; a library system's own numbers have a dozen."""

_REF = re.compile(rf"[0-9A-Za-z][0-9A-Za-z._:-]{{0,{LONGEST_REF - 1}}}")


def may_be_cpr(typed: str) -> bool:
    """Tell whether what was typed is a CPR number, however it is spaced, or a health card's swipe.

    Ten digits are one if they begin with a date, whatever stands between them.
    """
    digits = "".join(str(int(one)) for one in typed if one.isdecimal())
    return is_cpr(digits) or any(one.kind is IdentifierKind.CPR for one in normalise(typed))


def refuse_ref(typed: str) -> None:
    """Refuse what has no place on record as the number of a patron whom nobody here knows.

    Ask only where nothing is held under it: a library system's number may look like anything.

    Raises:
        InputError: it may be a CPR number, or is no number of a library system; it is not quoted.
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
