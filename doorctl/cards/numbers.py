"""Turn one frame into identifiers, an unreadable shape, or nothing."""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType

from doorctl.core.masked import CardRead, CardUnreadable, Identifier, IdentifierKind, Shape

MAX_FRAME_BYTES = 256
"""Longest frame: both tracks of a health card are 116 bytes, track 3 is 107 (ISO 7811), and the
rest is room for prefixes and LRC bytes."""

# CPR numbers: which ten digits can be one.

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


# Texts without stripe: a plastic card's number, a health card's barcode, or both.
#
# Scanners add marks of their own: AIM's symbology identifier in front (ISO/IEC 15424), and the
# start and stop characters of Code 39 (``*``) and Codabar (``A`` to ``D``) where they are set to
# send them.

PLASTIC = r"[0-9A-Za-z](?:-?[0-9A-Za-z]){3,23}"
"""A library's own card: 4 to 24 letters and digits, single hyphens between them."""

_PLASTIC = re.compile(PLASTIC)
_BARCODE = re.compile(r"([0-9]{6})([- ]?)([0-9]{4})[0-9A-Za-z]{0,2}")
_AIM = re.compile(r"\A\][A-Za-z][0-9A-Za-z](?=[0-9A-Za-z* -]+\Z)")
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


# Magnetic stripes: which bytes of a frame are track 2; the other tracks are never read.
#
# Track 1 holds the name and the address, track 2 of a health card is 37 digits: type 1,
# nationality 3, use 1, issuer 3, CPR 10, group 1, doctor 6, region 3, kommune 3, valid from 6
# (DDMMYY). Readers differ in the order of the tracks, in sentinels, in a prefix of their own and
# in an LRC byte behind each track; some report a track that they can't read as ``E`` between its
# sentinels, some send the same track three times. Sources: dauer/sygesikringskort; a public parser
# for MagTek's ``M'`` prefix.

_PREFIX = rb"[ -$&-*,\-./<=>@-~]{0,8}"
"""A reader's own, printable mark: neither digits nor sentinels."""

_MARKED = _PREFIX + rb"[%+][^;]*.?"
"""Track 1 or 3 with its start sentinel. The last byte is an LRC and may be a ``;``."""

_BARE = rb"[^0-9;][^;]{68,}.?"
"""Track 1 without sentinels: 75 characters, of which some may be padding that was stripped."""

_OTHER = rb"(?:" + _MARKED + rb"|" + _BARE + rb")"
_BEFORE = rb"(?:" + _PREFIX + rb"|" + _OTHER + rb")"

_THIRD = rb"[;+](?:E|[^;?]{41,107})\?.?"
"""Track 3 (ISO 4909, or ``E`` for a failure) with track 2's sentinel: too long to be one."""

_AGAIN = rb"(?:[;:]\1\??.?)*"
_AFTER = _AGAIN + rb"(?:" + _OTHER + rb")?(?:" + _THIRD + rb")?"

_HEALTH = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        _BEFORE + rb"[;:]([0-9]{37})(?:\?.?|.?)" + _AFTER,
        # Track 1 ends with digits (kommune, postcode), so only the end of the text is certain.
        _BEFORE + rb"(9208[0-9]{33}).?",
        _PREFIX + rb"(9208[0-9]{33}).?" + _OTHER,
    )
)
_PLASTIC_TRACK = re.compile(
    rb"(?:%b|%b)[;:](%b)(?:=[0-9=]*)?\?.?(?:[;:]\1(?:=[0-9=]*)?\?.?)*(?:%b)?(?:%b)?"
    % (_PREFIX, _MARKED, PLASTIC.encode(), _MARKED, _THIRD),
    re.DOTALL,
)
"""ISO/IEC 7813 lets a ``=`` and dates follow the number."""

_ONLY_OTHER = re.compile(
    _PREFIX + rb"(?:[%+][^;]*\?.?|" + _THIRD + rb")|[^0-9;][^;]{67,}[0-9]{7}.?", re.DOTALL
)

_CPR = slice(8, 18)

_HEALTH_START = "92081004"
"""How every health card's track 2 begins: type, nationality, use and issuer."""


def health_cpr(frame: bytes) -> str | None:
    """Return the ten digits that stand where a health card's track 2 has its CPR number."""
    for pattern in _HEALTH:
        match = pattern.fullmatch(frame)
        if match is not None:
            return match[1][_CPR].decode()
    return None


def plastic_number(frame: bytes) -> str | None:
    """Return what stands on the stripe of the library's own plastic card."""
    match = _PLASTIC_TRACK.fullmatch(frame)
    return None if match is None else match[1].decode()


def is_torn(number: str) -> bool:
    """Tell whether a stripe's whole text is the beginning of a health card's track 2.

    A swipe that stops early leaves it, and it is as long as many a plastic card's number. No
    library numbers its cards so; the same digits from a barcode scanner are a plastic card.
    """
    return _HEALTH_START.startswith(number) or number.startswith(_HEALTH_START)


def is_only_other_track(frame: bytes) -> bool:
    """Tell whether `frame` has no readable track 2; the next frame may have it."""
    return _ONLY_OTHER.fullmatch(frame) is not None


ONLY_TRACK_1 = CardUnreadable(Shape.ONLY_TRACK_1)
"""No track 2, or an unreadable one: another frame of the swipe may have it."""


def identify(frame: bytes) -> CardRead | CardUnreadable | None:
    """Read one frame without its terminator; None where it holds nothing but blanks.

    Bytes that are not printable ASCII are tolerated on track 1 and as an LRC, nowhere else.
    """
    # Some readers wake up with a NUL.
    frame = frame.lstrip(b"\x00").strip(b" \t")
    if not frame:
        return None
    cpr = health_cpr(frame)
    if cpr is not None:
        return read_cpr(cpr)
    if is_only_other_track(frame):
        return ONLY_TRACK_1
    number = plastic_number(frame)
    if number is not None and is_torn(number) and b"=" not in frame:
        return CardUnreadable(Shape.CUT_OFF)
    # Latin-1 never fails, and none of its letters beyond ASCII is part of a number.
    return read_number(number or frame.decode("latin-1"))


def normalise(text: str) -> tuple[Identifier, ...]:
    """Read a text that a person typed or pasted, by a frame's rules; empty where it is no card."""
    frame = text.strip().encode(errors="surrogatepass")
    reading = identify(frame) if len(frame) <= MAX_FRAME_BYTES else None
    return reading.identifiers if isinstance(reading, CardRead) else ()
