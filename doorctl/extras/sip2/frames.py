"""3M Standard Interchange Protocol 2.00: frames with their checksums, and message 64 in its parts.

An answer is believed only whole: any other is None here. Names and addresses in it stay undecoded
bytes, so it does not matter which of the DOS character sets they are in, and they are dropped with
the frame.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

END = b"\r"

LONGEST_FRAME_BYTES = 16_384
"""An answer that lists no items has 0.5 KiB; each field may have 255 bytes."""

INFORMATION_BYTES = 61
"""Fixed part of message 64: number, 14 flags, language, date, six counts of four digits."""

DATE = slice(19, 27)
"""Where the server's own day stands in it."""

DECISIVE = (b"AO", b"AA", b"BL", b"CQ")
"""Fields that decide, so an answer may have each only once."""

_TRAILER = re.compile(rb"AY([0-9])AZ([0-9A-Fa-f]{4})\Z")
_TRAILER_BYTES = 9
_FIXED = re.compile(rb"64[ -~]{14}[ -~]{3}[ -~]{18}[ -~]{24}")
_FIELD = re.compile(rb"[A-Z][A-Z0-9]")

_DATE = re.compile(rb"([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ A-Z]{0,4}[0-9]{6})?")
"""A day, by some servers with the protocol's time of day."""


@dataclass(frozen=True, slots=True)
class Information:
    """A whole Patron Information Response (64): which places of the status are set, and fields.

    `on` is the server's own day, None where it can't be read.
    """

    flags: frozenset[int]
    on: date | None
    fields: dict[bytes, list[bytes]] = field(repr=False)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a field, None where it is missing."""
        return self.fields.get(name, [None])[0]


def framed(message: bytes, sequence: int | None) -> bytes:
    """Return a message with sequence number (0 to 9) and checksum, if any, and its end."""
    if sequence is None:
        return message + END
    summed = message + b"AY%dAZ" % sequence
    return summed + b"%04X" % (-sum(summed) & 0xFFFF) + END


def unframed(frame: bytes, sequence: int) -> bytes | None:
    """Return the message of a frame without its end, if its trailer is right, else None."""
    trailer = _TRAILER.search(frame)
    if trailer is None or trailer[1] != b"%d" % sequence:
        return None
    expected = -int(trailer[2], 16) & 0xFFFF
    return frame[:-_TRAILER_BYTES] if expected in _sums(frame[:-4]) else None


def read_information(message: bytes) -> Information | None:
    """Return what message 64 says, None where it is incomplete or contradicts itself."""
    fixed, named = message[:INFORMATION_BYTES], message[INFORMATION_BYTES:]
    if not _FIXED.fullmatch(fixed):
        return None
    fields: dict[bytes, list[bytes]] = {}
    # fsip2 writes a delimiter before each field, so without error detection none ends the last.
    for part in named.removeprefix(b"|").removesuffix(b"|").split(b"|"):
        name, value = part[:2], part[2:]
        if not _FIELD.fullmatch(name):
            return None
        fields.setdefault(name, []).append(value)
    if any(len(fields.get(name, ())) > 1 for name in DECISIVE):
        return None
    status = fixed[2:16]
    # A flag that is neither blank nor a plain no counts as set: any doubt refuses.
    flags = frozenset(place for place, flag in enumerate(status, 1) if flag not in b" N")
    return Information(flags, day_of(fixed[DATE]), fields)


def _sums(text: bytes) -> Sequence[int]:
    """Return the checksums that a server may have made: of bytes, or of characters before UTF-8."""
    sums = [sum(text) & 0xFFFF]
    with suppress(UnicodeDecodeError):
        sums.append(sum(map(ord, text.decode())) & 0xFFFF)
    return sums


def day_of(written: bytes | None) -> date | None:
    """Return a day; None where it is none."""
    match = _DATE.fullmatch(written or b"")
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1].decode())
    except ValueError:
        return None
