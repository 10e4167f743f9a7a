"""One frame to what it says: identifiers, an unreadable shape, or nothing."""

from __future__ import annotations

from doorctl.cards.framing import MAX_FRAME_BYTES
from doorctl.cards.numbers import read_cpr, read_number
from doorctl.cards.tracks import health_cpr, is_only_other_track, plastic_number
from doorctl.masked import Identifier
from doorctl.readings import CardRead, CardUnreadable, Shape

ONLY_TRACK_1 = CardUnreadable(Shape.ONLY_TRACK_1)
"""No track 2, or one that the reader couldn't read: a frame beside it may be what counts."""


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
    # Latin-1 never fails, and none of its letters beyond ASCII is part of a number.
    return read_number(number or frame.decode("latin-1"))


def normalise(text: str) -> tuple[Identifier, ...]:
    """Read what a person typed or pasted by a frame's rules; empty where that is no card."""
    frame = text.strip().encode(errors="surrogatepass")
    reading = identify(frame) if len(frame) <= MAX_FRAME_BYTES else None
    return reading.identifiers if isinstance(reading, CardRead) else ()
