"""The PIN pad's own line: which bytes are keys."""

from __future__ import annotations

from math import inf

from doorctl.cards.framing import BURST_GAP_S
from doorctl.core.readings import KeyPressed

KEYS = frozenset(b"0123456789#*")

MOST_AT_ONCE = 32
"""Nobody presses more keys between two looks at the line."""


def keys(data: bytes) -> tuple[KeyPressed, ...]:
    """Return the keys among `data`; CR, LF and all other bytes mean nothing.

    Empty where there are more than :data:`MOST_AT_ONCE`: no person pressed those.
    """
    pressed = tuple(KeyPressed(chr(byte)) for byte in data if byte in KEYS)
    return pressed if len(pressed) <= MOST_AT_ONCE else ()


# Key bytes on the reader's own line: pressed by a person, or a barcode that begins with digits?
#
# Speed decides. Bytes are held back until :data:`~doorctl.cards.framing.BURST_GAP_S` of quiet,
# or a terminator, shows their origin: 30 ms that nobody feels, and without which the first digit of
# one person's card could be the last digit of another person's PIN.

MAX_KEYS = 12
"""Longest run that can be keys: the most that a stalled process may find from a hasty patron."""

_SHORTEST_CARD = 5


def looks_typed(frame: bytes) -> bool:
    """Tell whether `frame` is keys, with a ``#`` or ``*`` among them or fewer than five.

    A card of four digits can't be told from a PIN here. An empty frame counts as typed, because
    nothing is lost with it.
    """
    return only_keys(frame) and (len(frame) < _SHORTEST_CARD or not frame.isdigit())


def only_keys(frame: bytes) -> bool:
    """Tell whether `frame` consists of keys and is short enough to have been typed."""
    return len(frame) <= MAX_KEYS and KEYS.issuperset(frame)


class KeyRun:
    """The keys of one burst, at most 12; false without any."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self._maybe_lrc = False
        self._last_s = -inf

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def deadline_s(self) -> float | None:
        """When the burst is over, monotonic seconds; None without a burst."""
        return self._last_s + BURST_GAP_S if self._keys else None

    @property
    def is_full(self) -> bool:
        """Whether one more byte would make it too long to be keys."""
        return len(self._keys) == MAX_KEYS

    def take(self, key: int, now_s: float, *, maybe_lrc: bool) -> None:
        """Add a key; a single key in its run may be an LRC."""
        self._maybe_lrc = maybe_lrc and not self._keys
        self._last_s = now_s
        self._keys.append(key)

    def looks_typed(self) -> bool:
        """Tell whether these keys, followed by a terminator, can't be a card."""
        return looks_typed(bytes(self._keys))

    def end_as_keys(self) -> tuple[KeyPressed, ...]:
        """Forget the run and return its keys."""
        pressed = () if self._maybe_lrc else keys(bytes(self._keys))
        self.forget()
        return pressed

    def end_as_frame(self) -> bytes:
        """Forget the run and return its bytes."""
        frame = bytes(self._keys)
        self.forget()
        return frame

    def forget(self) -> None:
        """Drop all keys."""
        self._keys.clear()
