"""Magnetic stripes: which bytes of a frame are track 2; the other tracks are never read.

Track 1 holds the name and the address, track 2 of a health card is 37 digits: type 1,
nationality 3, use 1, issuer 3, CPR 10, group 1, doctor 6, region 3, kommune 3, valid from 6
(DDMMYY). Readers differ in the order of the tracks, in sentinels, in a prefix of their own and
in an LRC byte behind each track; some report a track that they can't read as ``E`` between its
sentinels, some send the same track three times. Sources: dauer/sygesikringskort; a public parser
for MagTek's ``M'`` prefix.
"""

from __future__ import annotations

import re

from doorctl.cards.numbers import PLASTIC

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
