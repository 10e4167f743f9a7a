"""Turn one frame into identifiers, an unreadable shape, or nothing."""

from __future__ import annotations

from doorctl.cards.numbers import read_cpr, read_number
from doorctl.cards.stripe import health_cpr, is_only_other_track, is_torn, plastic_number
from doorctl.core.masked import Identifier
from doorctl.core.readings import CardRead, CardUnreadable, Shape

MAX_FRAME_BYTES = 256
"""Longest frame: both tracks of a health card are 116 bytes, track 3 is 107 (ISO 7811), and the
rest is room for prefixes and LRC bytes."""

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
