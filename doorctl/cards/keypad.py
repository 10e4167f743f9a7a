"""The PIN pad's own line: which bytes are keys."""

from __future__ import annotations

from doorctl.readings import KeyPressed

KEYS = frozenset(b"0123456789#*")


def keys(data: bytes) -> tuple[KeyPressed, ...]:
    """Return the keys among `data`; CR, LF and everything else mean nothing."""
    return tuple(KeyPressed(chr(byte)) for byte in data if byte in KEYS)
