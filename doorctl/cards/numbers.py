"""The numbers that a card can have: a CPR number, and a library's own; read from plain text.

Scanners add marks of their own: AIM's symbology identifier in front (ISO/IEC 15424), and the
start and stop characters of Code 39 (``*``) and Codabar (``A`` to ``D``) where they are set to
send them.
"""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType

from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.readings import CardRead, CardUnreadable, Shape

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

    Modulus 11 is not checked: numbers without it are valid since 2007 (cpr.dk). The date is not
    compared with today's: a Pi with a wrong clock would turn away children.
    """
    return birth_date(digits) is not None


def birth_date(digits: str) -> date | None:
    """Return the birthday in a CPR number; right for most, because a number can be changed.

    A replacement number (day + 60) has one as well. None for digits that are no CPR number.
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


PLASTIC = r"[0-9A-Za-z](?:-?[0-9A-Za-z]){3,23}"
"""A library's own card: 4 to 24 letters and digits, single hyphens between them."""

_PLASTIC = re.compile(PLASTIC)
_BARCODE = re.compile(r"([0-9]{6})([- ]?)([0-9]{4})[0-9A-Za-z]{0,2}")
_AIM = re.compile(r"\A\][A-Za-z][0-9A-Za-z] *(?=[0-9A-Za-z* -]+\Z)")
_START_STOP = re.compile(r"\*(.+)\*|[A-Da-d]([0-9-]+)[A-Da-d]")


def is_card_number(text: str) -> bool:
    """Tell whether `text` can be a plastic card's number; a CPR number with its hyphen is none."""
    barcode = _BARCODE.fullmatch(text)
    return bool(_PLASTIC.fullmatch(text)) and not (barcode and barcode[2])


def read_number(text: str) -> CardRead | CardUnreadable:
    """Read a plastic card's exact text, a CPR barcode with its optional tail, or ten bare digits.

    A text that can be both is both: the exact card number first, the part between start and stop
    last.
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
