"""The PIN pad's own line: which bytes are keys."""

from __future__ import annotations

from doorctl.readings import KeyPressed

KEYS = frozenset(b"0123456789#*")

MOST_AT_ONCE = 32
"""Nobody presses more keys between two looks at the line."""


def keys(data: bytes) -> tuple[KeyPressed, ...]:
    """Return the keys among `data`; CR, LF and everything else mean nothing.

    Empty where there are more than :data:`MOST_AT_ONCE`: no person pressed those.
    """
    pressed = tuple(KeyPressed(chr(byte)) for byte in data if byte in KEYS)
    return pressed if len(pressed) <= MOST_AT_ONCE else ()
