"""What a bare text says: a plastic card's number, a health card's barcode, or both."""

from __future__ import annotations

import re

from doorctl.cards.cpr import is_cpr
from doorctl.masked import Identifier, IdentifierKind
from doorctl.readings import CardRead, CardUnreadable, Shape

_PLASTIC = re.compile(r"[0-9A-Za-z]{5,20}")
_BARCODE = re.compile(r"([0-9]{6})(-?)([0-9]{4})[0-9A-Za-z]{0,2}")


def read_number(text: str) -> CardRead | CardUnreadable:
    """Read a plastic card's exact text, a CPR barcode with its optional tail, or ten bare digits.

    What can be both is both, the exact card number first. A hyphen is found only in CPR numbers.
    """
    cards = [Identifier(IdentifierKind.CARD, text)] if _PLASTIC.fullmatch(text) else []
    barcode = _BARCODE.fullmatch(text)
    if barcode is None:
        return CardRead(tuple(cards)) if cards else CardUnreadable(Shape.GARBAGE)
    reading = read_cpr(barcode[1] + barcode[3])
    if isinstance(reading, CardRead):
        return CardRead((*cards, *reading.identifiers))
    return CardRead(tuple(cards)) if cards else reading


def read_cpr(digits: str) -> CardRead | CardUnreadable:
    """Read ten digits that are a CPR number or nothing."""
    if not is_cpr(digits):
        return CardUnreadable(Shape.BAD_DATE)
    return CardRead((Identifier(IdentifierKind.CPR, digits),))
