"""Bytes to frames: ended by CR, LF, TAB, ETX or quiet; bounded, and never waiting for ever."""

from __future__ import annotations

import re
from enum import Enum, auto
from math import inf

from doorctl.cards.identify import MAX_FRAME_BYTES
from doorctl.cards.keys import BURST_GAP_S, HIGH_BIT, KEYS
from doorctl.core.readings import Shape

STX, ETX = b"\x02\x03"

TERMINATORS = frozenset((*b"\r\n\t", ETX))

_LOOKED_FOR = re.compile(rb"[\r\n\t\x02\x03]")

FRAME_IDLE_S = 0.5
"""A frame without a new byte for so long is over: at 9600 baud the longest takes 0.27 s in all."""

ANOTHER_S = 0.15
"""Bytes that follow others after so long a pause are of another swipe: no person swipes sooner."""


def as_sent(data: bytes) -> tuple[str, bytes]:
    """Tell the bits of a character (8N1, 7E1 or 7O1) by bytes that were taken for 8N1.

    A parity bit stands where the eighth is then. Returns them and the bytes without it; 8N1 where
    nothing speaks for a parity.
    """
    parities = {byte.bit_count() % 2 for byte in data}
    if len(parities) != 1 or max(data) < HIGH_BIT:
        return "8N1", data
    return ("7O1" if parities == {1} else "7E1"), bytes(byte % HIGH_BIT for byte in data)


class _State(Enum):
    BETWEEN = auto()
    OPEN = auto()
    BEGUN = auto()
    """By an STX: only an ETX or a terminator completes it."""
    DISCARDING = auto()


class Framer:
    """Cut one line's bytes into frames. Not thread-safe; all times are monotonic seconds.

    An LRC byte that a reader sends behind its ETX is dropped: by the next STX, by a terminator or
    after a while, because no frame follows it. A reader sends an LRC behind each ETX or behind
    none: once quiet has followed an ETX, a key at once behind another ETX is a key.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._state = _State.BETWEEN
        self._opened_s = -inf
        self._last_s = -inf
        self._lrc_until_s = -inf
        self._ended_by_etx = False
        self._sends_lrc: bool | None = None
        self._swallows = False

    @property
    def held(self) -> bytes:
        """The bytes of the open frame, at most :data:`MAX_FRAME_BYTES`."""
        return bytes(self._held)

    @property
    def is_open(self) -> bool:
        """Whether the next byte belongs to an open frame, even if the frame is thrown away."""
        return self._state is not _State.BETWEEN

    @property
    def deadline_s(self) -> float | None:
        """When the open frame ends if no more bytes come; None between frames."""
        if self._state is _State.BETWEEN:
            return None
        return self._last_s + (BURST_GAP_S if self._is_lrc else FRAME_IDLE_S)

    def expects_lrc(self, now_s: float) -> bool:
        """Tell whether an ETX came so shortly before `now_s` that one byte may be its LRC."""
        return now_s < self._lrc_until_s

    def key_may_be_lrc(self, key: int, now_s: float) -> bool:
        """Tell whether a key that comes between two frames may be the LRC of the first."""
        self._learn_lrc(key, now_s)
        return self.expects_lrc(now_s) and self._sends_lrc is not False

    def take(self, byte: int, now_s: float) -> bytes | Shape | None:
        """Take one byte; return the frame it completes, or ``TOO_LONG`` for a byte too many.

        Empty frames vanish. After ``TOO_LONG`` everything up to the next terminator, STX or
        :data:`FRAME_IDLE_S` of silence is thrown away. Where another swipe was in that, its end
        is ``TOO_LONG`` once more: else its patron would see no lamp.
        """
        self._learn_lrc(byte, now_s)
        if byte in TERMINATORS:
            return self._end(byte, now_s)
        self._heard(now_s)
        if byte == STX:
            self.forget()
            self._state = _State.BEGUN
        elif self._state is not _State.DISCARDING:
            return self._add(byte, now_s)
        return None

    def skip(self, data: bytes, start: int, now_s: float) -> int:
        """Throw away at once what :meth:`take` would byte by byte, and return how many bytes.

        0 unless the rest of a frame that was too long is awaited: a megabyte must not hold up the
        loop.
        """
        if self._state is not _State.DISCARDING:
            return 0
        found = _LOOKED_FOR.search(data, start)
        skipped = (len(data) if found is None else found.start()) - start
        if skipped:
            self._heard(now_s)
        return skipped

    def take_run(self, data: bytes, start: int, end: int, now_s: float) -> int:
        """Take at once what :meth:`take` would byte by byte, and return how many bytes.

        From `start` to before `end`, the first byte that may end or begin a frame, and before the
        byte that is one too many. 0 while the rest of such a frame is awaited.
        """
        room = MAX_FRAME_BYTES - len(self._held)
        run = b"" if self._state is _State.DISCARDING else data[start : min(end, start + room)]
        if run:
            self._learn_lrc(run[0], now_s)
            if not self._held:
                self._opened_s = now_s
            self._held += run
            self._open()
            self._last_s = now_s
        return len(run)

    def expire(self, now_s: float) -> bytes | Shape | None:
        """End a frame whose deadline has passed: it may be whole, from a reader without terminator.

        ``CUT_OFF`` where an STX had begun it; None for less than two bytes, and before its time.
        """
        if self.deadline_s is None or now_s < self.deadline_s:
            return None
        frame, begun, swallowed = bytes(self._held), self._state is _State.BEGUN, self._swallows
        self.forget()
        if swallowed:
            return Shape.TOO_LONG
        if not frame[1:]:
            return None
        return Shape.CUT_OFF if begun else frame

    def overflow(self, now_s: float) -> Shape:
        """Give up the open frame and throw away the rest of it."""
        self.forget()
        self._state = _State.DISCARDING
        self._last_s = now_s
        return Shape.TOO_LONG

    def forget(self) -> None:
        """Reset, because the line was lost or the held bytes are not needed."""
        self._held.clear()
        self._state = _State.BETWEEN
        self._lrc_until_s = -inf
        self._swallows = False

    @property
    def _is_lrc(self) -> bool:
        return len(self._held) == 1 and self.expects_lrc(self._opened_s)

    def _learn_lrc(self, byte: int, now_s: float) -> None:
        """Learn from the first byte behind an ETX whether this reader sends an LRC there.

        A key at once behind it proves nothing, for a person may have pressed it.
        """
        if self._ended_by_etx:
            self._ended_by_etx = False
            if not self.expects_lrc(now_s):
                self._sends_lrc = bool(self._sends_lrc)
            elif byte not in _NO_LRC_FOR_SURE:
                self._sends_lrc = True

    def _add(self, byte: int, now_s: float) -> Shape | None:
        if len(self._held) == MAX_FRAME_BYTES:
            return self.overflow(now_s)
        if not self._held:
            self._opened_s = now_s
        self._open()
        self._held.append(byte)
        return None

    def _open(self) -> None:
        if self._state is _State.BETWEEN:
            self._state = _State.OPEN

    def _heard(self, now_s: float) -> None:
        paused = now_s - self._last_s >= ANOTHER_S
        self._swallows |= paused and self._state is _State.DISCARDING
        self._last_s = now_s

    def _end(self, byte: int, now_s: float) -> bytes | Shape | None:
        frame = b"" if self._is_lrc else bytes(self._held)
        swallowed = self._swallows
        self.forget()
        if swallowed:
            return Shape.TOO_LONG
        if byte == ETX:
            self._lrc_until_s = now_s + BURST_GAP_S
            self._ended_by_etx = True
        return frame or None


_NO_LRC_FOR_SURE = KEYS | TERMINATORS | {STX}
"""Bytes that, where one follows an ETX, need not be its LRC."""
