"""New codes for passes: drawn by the operating system's generator, derived from nothing."""

from __future__ import annotations

import secrets

from doorctl.access.codes import MIN_CODE_DIGITS, guessable
from doorctl.masked import Identifier, IdentifierKind


def new_code(digits: int = MIN_CODE_DIGITS) -> Identifier:
    """Draw a code that nobody tries first; 85 % of six-digit ones remain.

    The digits are shown to staff once, as what follows ``code:`` in the identifier, and stored
    nowhere; a lost code is revoked and replaced. One that is taken is refused when it is issued:
    draw another then.
    """
    while guessable(code := f"{secrets.randbelow(10**digits):0{digits}}"):
        pass
    return Identifier(IdentifierKind.CODE, code)
