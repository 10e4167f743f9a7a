"""A PIN pad's keys: which bytes are keys, and what a pad on a line of its own sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from math import inf
from types import MappingProxyType

from doorctl.core.readings import KeyPressed

HIGH_BIT = 0x80

BURST_GAP_S = 0.03
"""Bytes closer than this come from a machine: USB chips (FTDI) hand over every 16 ms at the latest,
and nobody presses two keys within 30 ms."""

KEYS = frozenset(b"0123456789#*")

MOST_AT_ONCE = 32
"""Nobody presses more keys between two looks at the line."""

CONTROLS = MappingProxyType({"BS": 8, "LF": 10, "CR": 13, "ESC": 27, "DEL": 127})
"""The control characters that keypads send, by their names in ASCII."""

CR, LF = b"\r\n"


def byte_of(written: str) -> int:
    """Return the byte that is written as a visible character, such a name, or ``0x1b``."""
    if len(written) == 1:
        return ord(written)
    return CONTROLS[written] if written in CONTROLS else int(written, 16)


KeyBytes = Mapping[int, str]
"""What bytes mean beside :data:`KEYS`: ``*`` or ``#``."""


def key_bytes(clear: Iterable[str], enter: Iterable[str]) -> KeyBytes:
    """Return the meanings of bytes that are written as in :func:`byte_of`."""
    meanings = ((clear, "*"), (enter, "#"))
    return {byte_of(each): meant for written, meant in meanings for each in written}


USUAL_CLEAR, USUAL_ENTER = ("BS", "DEL", "ESC", "C", "c"), ("CR", "LF", "E")

USUAL_KEYS = MappingProxyType(key_bytes(USUAL_CLEAR, USUAL_ENTER))


def keys(data: bytes, also: KeyBytes = MappingProxyType({})) -> tuple[KeyPressed, ...]:
    """Return the keys among `data`; all other bytes mean nothing.

    Empty where there are more than :data:`MOST_AT_ONCE`: no person pressed those.
    """
    meant = (chr(byte) if byte in KEYS else also.get(byte) for byte in data)
    pressed = tuple(KeyPressed(key) for key in meant if key is not None)
    return pressed if len(pressed) <= MOST_AT_ONCE else ()


class KeyShape(Enum):
    """A byte of the keypad that means nothing; its value is never told, it could be a digit."""

    CONTROL = "control"
    VISIBLE = "visible"
    HIGH_BIT = "high_bit"


def key_shape(byte: int) -> KeyShape:
    """Return the shape of a byte; a blank is visible."""
    if byte >= HIGH_BIT:
        return KeyShape.HIGH_BIT
    return KeyShape.VISIBLE if chr(byte).isprintable() else KeyShape.CONTROL


class KeypadLine:
    """Read the PIN pad's own line; times are monotonic seconds.

    CR LF is one enter. Where a digit and its line end come at once, no person pressed enter.
    """

    def __init__(self, also: KeyBytes = USUAL_KEYS) -> None:
        self._also = also
        self._last = 0
        self._last_s = -inf
        self._digits = 0

    def receive(
        self, data: bytes, now_s: float
    ) -> tuple[tuple[KeyPressed, ...], frozenset[KeyShape]]:
        """Return the keys among the bytes, and the shapes of those that mean nothing."""
        if now_s - self._last_s >= BURST_GAP_S:
            self._digits = 0
        self._last_s = now_s
        if KEYS.issuperset(data):
            self._digits += len(data)
            self._last = 0
            return keys(data), frozenset()
        heard = bytes(byte for byte in data if not self._ends_line(byte))
        unknown = (byte for byte in heard if byte not in KEYS and byte not in self._also)
        return keys(heard, self._also), frozenset(map(key_shape, unknown))

    def _ends_line(self, byte: int) -> bool:
        """Tell whether it belongs to the byte before: the LF of CR LF, the end of one digit."""
        last, self._last = self._last, byte
        if byte not in (CR, LF):
            self._digits += 1
            return False
        digits, self._digits = self._digits, 0
        return (last == CR and byte == LF) or digits == 1
