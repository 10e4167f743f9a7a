"""Bytes of Linux's input devices to events, and which keys a device says that it has."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from struct import Struct

EVENT = Struct("@llHHi")
"""`struct input_event` of linux/input.h: the time in two longs, type, code and value. 24 bytes
where a long has 64 bits, 16 where it has 32; Python's own longs are the kernel's."""

EV_SYN, EV_KEY = 0, 1

SYN_DROPPED = 3
"""Code of the event that says: more came than the kernel kept, and some of it is lost."""

RELEASED, PRESSED = 0, 1
"""Values of a key; it repeats with 2."""


@dataclass(frozen=True, slots=True)
class InputEvent:
    """What happened; the key may be a digit of a PIN or of a card, so it is never shown."""

    kind: int
    code: int = field(repr=False)
    value: int


class Records:
    """Cut bytes into events; the result does not depend on how the bytes come."""

    def __init__(self, record: Struct = EVENT) -> None:
        self._record = record
        self._rest = b""

    def cut(self, data: bytes) -> Iterator[InputEvent]:
        """Return the events that are whole now; what is left of a record waits for more."""
        data = self._rest + data
        whole = len(data) - len(data) % self._record.size
        self._rest = data[whole:]
        for _, _, kind, code, value in self._record.iter_unpack(data[:whole]):
            yield InputEvent(kind, code, value)


MOST_KEYS = 0x300
"""Codes of keys and buttons (`KEY_CNT`)."""

MOUSE, JOYSTICK, GAMEPAD = 0x110, 0x120, 0x130
"""The first button of each (`BTN_MOUSE`, `BTN_JOYSTICK`, `BTN_GAMEPAD`)."""

DIGITS = (
    frozenset(range(2, 12)),
    frozenset((71, 72, 73, 75, 76, 77, 79, 80, 81, 82)),
    frozenset(range(0x200, 0x20A)),
)
"""Ten digits: of a keyboard's upper row, of its numeric keypad, of a telephone's keypad."""


def keys_among(bits: bytes) -> frozenset[int]:
    """Return the codes of a device's keys, from the bit field that the kernel answers with."""
    return frozenset(
        8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
    )


def unfit(keys: Container[int]) -> str | None:
    """Return what a device with these keys is, where it can be neither scanner nor keypad.

    One with ten digits can, whatever else it has.
    """
    if any(all(digit in keys for digit in digits) for digits in DIGITS):
        return None
    if MOUSE in keys:
        return "is a mouse"
    return "is a gamepad" if JOYSTICK in keys or GAMEPAD in keys else "has no keys for ten digits"
