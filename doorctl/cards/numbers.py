"""What a bare text says: a plastic card's number, a health card's barcode, or both.

Scanners add marks of their own: AIM's symbology identifier in front (ISO/IEC 15424), and the start
and stop characters of Code 39 (``*``) and Codabar (``A`` to ``D``) where they are set to send them.
"""

from __future__ import annotations

import re

from doorctl.cards.cpr import is_cpr
from doorctl.masked import Identifier, IdentifierKind
from doorctl.readings import CardRead, CardUnreadable, Shape

PLASTIC = r"[0-9A-Za-z](?:-?[0-9A-Za-z]){3,23}"
"""A library's own card: 4 to 24 letters and digits, single hyphens between them."""

_PLASTIC = re.compile(PLASTIC)
_BARCODE = re.compile(r"([0-9]{6})(-?)([0-9]{4})[0-9A-Za-z]{0,2}")
_AIM = re.compile(r"\A\][A-Za-z][0-9A-Za-z](?=[0-9A-Za-z*-]+\Z)")
_START_STOP = re.compile(r"\*(.+)\*|[A-Da-d]([0-9-]+)[A-Da-d]")


def is_card_number(text: str) -> bool:
    """Tell whether `text` can be a plastic card's number; a CPR number with its hyphen is none."""
    barcode = _BARCODE.fullmatch(text)
    return bool(_PLASTIC.fullmatch(text)) and not (barcode and barcode[2])


def read_number(text: str) -> CardRead | CardUnreadable:
    """Read a plastic card's exact text, a CPR barcode with its optional tail, or ten bare digits.

    What can be both is both, the exact card number first, what stands between start and stop last.
    """
    text = _AIM.sub("", text)
    whole, ends = _read_bare(text), _START_STOP.fullmatch(text)
    within = whole if ends is None else _read_bare(ends[1] or ends[2])
    if within is whole or isinstance(within, CardUnreadable):
        return whole
    if isinstance(whole, CardUnreadable):
        return within
    return CardRead(whole.identifiers + within.identifiers)


def _read_bare(text: str) -> CardRead | CardUnreadable:
    cards = [Identifier(IdentifierKind.CARD, text)] if is_card_number(text) else []
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
