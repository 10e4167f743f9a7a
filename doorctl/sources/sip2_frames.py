"""SIP2's messages as bytes: fixed fields, named fields up to ``|``, sequence number, checksum.

3M Standard Interchange Protocol 2.00. An answer is believed only whole: any other is None here.
Names and addresses in it stay undecoded bytes, so it does not matter which of the DOS character
sets they are in, and they are dropped with the frame.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

END = b"\r"

LONGEST_FRAME_BYTES = 16_384
"""An answer that lists no items has 0.5 KiB; each field may have 255 bytes."""

INFORMATION_BYTES = 61
"""Fixed part of message 64: number, 14 flags, language, date, six counts of four digits."""

REQUEST_LANGUAGE, NO_SUMMARY = b"000", b" " * 10

DECISIVE = (b"AO", b"AA", b"BL", b"CQ")
"""Fields that decide, and so may stand in an answer only once."""

_TRAILER = re.compile(rb"AY([0-9])AZ([0-9A-Fa-f]{4})\Z")
_TRAILER_BYTES = 9
_ANY_TRAILER = re.compile(rb"(?:AY[0-9])?(?:AZ[0-9A-Fa-f]{4})?\Z")
_FIXED = re.compile(rb"64[ -~]{14}[ -~]{3}[ -~]{18}[ -~]{24}")
_FIELD = re.compile(rb"[A-Z][A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Information:
    """A whole Patron Information Response (64).

    Args:
        flags: the places, from 1, of the patron status that are set.
        fields: by name, all values of each, in order; undecoded.
    """

    flags: frozenset[int]
    fields: dict[bytes, list[bytes]] = field(repr=False)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a field, None where it is missing."""
        return self.fields.get(name, [None])[0]


def framed(message: bytes, sequence: int | None) -> bytes:
    """Return a message with its end, and before it sequence number (0 to 9) and checksum if any."""
    if sequence is None:
        return message + END
    summed = message + b"AY%dAZ" % sequence
    return summed + b"%04X" % (-sum(summed) & 0xFFFF) + END


def login(user: bytes, password: bytes) -> bytes:
    """Return message 93, in which nothing is encrypted."""
    return b"9300" + _named((b"CN", user), (b"CO", password))


def information_request(
    *, at: str, institution: bytes, card: bytes, terminal_password: bytes, pin: bytes
) -> bytes:
    """Return message 63; `at` is ``YYYYMMDD``, four blanks, ``HHMMSS`` in local time."""
    return (
        b"63"
        + REQUEST_LANGUAGE
        + at.encode("ascii")
        + NO_SUMMARY
        + _named((b"AO", institution), (b"AA", card), (b"AC", terminal_password), (b"AD", pin))
    )


def unframed(frame: bytes, sequence: int) -> bytes | None:
    """Return the message of a frame without its end, if its trailer is right, else None."""
    trailer = _TRAILER.search(frame)
    if trailer is None or trailer[1] != b"%d" % sequence:
        return None
    expected = -int(trailer[2], 16) & 0xFFFF
    return frame[:-_TRAILER_BYTES] if expected in _sums(frame[:-4]) else None


def without_trailer(frame: bytes) -> bytes:
    """Return the message of a frame whose trailer, if it has one, proves nothing."""
    return _ANY_TRAILER.sub(b"", frame, count=1)


def read_login(message: bytes) -> bool | None:
    """Return whether message 94 accepts the account, None where it is no 94."""
    return {b"941": True, b"940": False}.get(message)


def read_information(message: bytes) -> Information | None:
    """Return what message 64 says, or None where it is none in full or contradicts itself."""
    fixed, named = message[:INFORMATION_BYTES], message[INFORMATION_BYTES:]
    if not _FIXED.fullmatch(fixed) or not named.endswith(b"|"):
        return None
    fields: dict[bytes, list[bytes]] = {}
    for each in named[:-1].split(b"|"):
        name, value = each[:2], each[2:]
        if not _FIELD.fullmatch(name):
            return None
        fields.setdefault(name, []).append(value)
    if any(len(fields.get(name, ())) > 1 for name in DECISIVE):
        return None
    status = fixed[2:16]
    # A flag that is neither blank nor a plain no counts as set: any doubt refuses.
    return Information(
        frozenset(place for place, flag in enumerate(status, 1) if flag not in b" N"), fields
    )


def _named(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"".join(name + value + b"|" for name, value in pairs)


def _sums(text: bytes) -> Sequence[int]:
    """Return the sums that a server may have made: of bytes, or of characters before UTF-8."""
    sums = [sum(text) & 0xFFFF]
    with suppress(UnicodeDecodeError):
        sums.append(sum(map(ord, text.decode())) & 0xFFFF)
    return sums
