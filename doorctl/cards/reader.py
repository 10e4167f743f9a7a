"""A card reader's line without the line: bytes and times go in, one reading at a time comes out.

A line may carry a PIN pad's keys too, and then speed tells keys from a barcode that begins with
digits. Bytes are held back until :data:`BURST_GAP_S` of quiet, or a terminator, shows their origin:
30 ms that no person notices. Without it the first digit of one person's card could be the last
digit of another person's PIN. Clear and enter in their other forms count where they are alone; CR
and LF end a card there.
"""

from __future__ import annotations

import re
from collections import deque
from math import inf
from types import MappingProxyType

from doorctl.cards.framing import FRAME_IDLE_S, STX, TERMINATORS, Framer
from doorctl.cards.identify import ONLY_TRACK_1, identify
from doorctl.cards.keys import BURST_GAP_S, KEYS, USUAL_KEYS, KeyBytes, keys
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Reading, Shape

MAX_KEYS = 12
"""Longest run that can be keys: the most that a stalled process may find from a hasty patron."""

_SCANNED = re.compile(rb"[0-9]{5,}|\*[0-9]{5,}\*")
"""Key bytes that are a card: five digits or more, bare or between the stars of Code 39.

A card of four digits can't be told from a PIN here."""


def looks_typed(frame: bytes) -> bool:
    """Tell whether `frame` is keys and no card.

    An empty frame counts as typed, because nothing is lost with it.
    """
    return only_keys(frame) and not _SCANNED.fullmatch(frame)


def only_keys(frame: bytes) -> bool:
    """Tell whether `frame` consists of keys and is short enough to have been typed."""
    return len(frame) <= MAX_KEYS and KEYS.issuperset(frame)


class KeyRun:
    """The keys of one burst, at most 12; false without any. One that is `lone` is no digit."""

    def __init__(self, also: KeyBytes) -> None:
        self._also = also
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
        return len(self._keys) == MAX_KEYS or self.is_lone

    @property
    def is_lone(self) -> bool:
        """Whether its byte is a key only as long as nothing follows at once."""
        return len(self._keys) == 1 and self._keys[0] in self._also

    def take(self, key: int, now_s: float, *, maybe_lrc: bool) -> None:
        """Add a key; a single key in its run may be an LRC."""
        self._maybe_lrc = maybe_lrc and not self._keys
        self._last_s = now_s
        self._keys.append(key)

    def looks_typed(self) -> bool:
        """Tell whether these keys, followed by a terminator, can't be a card."""
        return self.is_lone or looks_typed(bytes(self._keys))

    def end_as_keys(self) -> tuple[KeyPressed, ...]:
        """Forget the run and return its keys."""
        pressed = () if self._maybe_lrc else keys(bytes(self._keys), self._also)
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


MAX_BACKLOG_BYTES = 4096
"""The most that may wait to be pulled: as much as Linux's tty layer hands over at once."""

_START_SENTINELS = frozenset(b";:%+")
_FRAME_STARTS = _START_SENTINELS | {STX}
_NO_KEYS = TERMINATORS | _FRAME_STARTS
"""Bytes that end or begin a card, and so are no keys on its line."""

_LOOKED_AT = MappingProxyType(
    {
        carries_keys: re.compile(b"[%s]" % re.escape(bytes(each)))
        for carries_keys, each in (
            (False, TERMINATORS | {STX}),
            (True, TERMINATORS | _FRAME_STARTS),
        )
    }
)
"""Whether keys come on the line too -> the bytes that do not just continue a frame."""


class CardReader:
    """Read one line; the result does not depend on how its bytes are cut into chunks.

    Call :meth:`receive` or :meth:`pass_time`, then :meth:`next_reading` until it returns None, then
    wait until :attr:`deadline_s`. Not thread-safe; times are monotonic seconds and never fall. With
    `carries_keys` the PIN pad's keys come on this line too, those in `key_bytes` but for CR and LF.
    A track 1 or 3 in a frame of its own vanishes beside any other frame, so that one swipe is one
    reading.
    """

    def __init__(self, *, carries_keys: bool, key_bytes: KeyBytes = USUAL_KEYS) -> None:
        self._carries_keys = carries_keys
        self._lone = {byte: key for byte, key in key_bytes.items() if byte not in _NO_KEYS}
        self._looked_at = _LOOKED_AT[carries_keys]
        self._framer = Framer()
        self._run = KeyRun(self._lone)
        self._backlog: deque[tuple[float, bytes]] = deque()
        self._backlog_bytes = 0
        self._taken = 0
        self._ready: deque[Reading] = deque()
        self._spoke_s = -inf
        self._track_1_until_s: float | None = None
        self._card = b""

    def receive(self, data: bytes, now_s: float) -> None:
        """Keep bytes until they are pulled.

        Where more than :data:`MAX_BACKLOG_BYTES` would pile up over several calls, nobody is
        pulling: all of it is given up and is one ``TOO_LONG``.
        """
        if self._backlog_bytes and self._backlog_bytes + len(data) > MAX_BACKLOG_BYTES:
            self.reset()
            self._ready.append(CardUnreadable(self._framer.overflow(now_s)))
        elif data:
            self._backlog.append((now_s, data))
            self._backlog_bytes += len(data)

    def pass_time(self, now_s: float) -> None:
        """Report that no byte came until `now_s`; call it at :attr:`deadline_s`, or more often."""
        if self._backlog and not self._backlog[-1][1]:
            self._backlog.pop()
        self._backlog.append((now_s, b""))

    def next_reading(self, *, awaiting_pin: bool) -> Reading | None:
        """Return the next reading, or None when more bytes or more time are needed.

        `awaiting_pin` says whether digits that come now are keys; others vanish. It may change
        between two calls, even if both readings came in one chunk.
        """
        if not awaiting_pin:
            self._card = b""
        while True:
            while self._ready:
                reading = self._ready.popleft()
                if awaiting_pin or not isinstance(reading, KeyPressed):
                    return reading
            if not self._backlog:
                return None
            self._step(awaiting_pin=awaiting_pin and self._carries_keys)

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`pass_time` is due; None while nothing is held. Pull everything first."""
        if self._run:
            return self._run.deadline_s
        return self._framer.deadline_s if self._framer.is_open else self._track_1_until_s

    def drop(self, data: bytes, now_s: float) -> bool:
        """Forget everything, these bytes too; tell whether they may be of a swipe.

        What follows them up to its end is dropped as well, else half a card would be read as one.
        """
        self.reset()
        if self._carries_keys and looks_typed(data):
            return False
        if data[-1] not in TERMINATORS:
            self._framer.overflow(now_s)
        return not TERMINATORS.issuperset(data)

    def reset(self) -> None:
        """Forget everything: the line was lost, and half a swipe must not become a card later."""
        self._framer = Framer()
        self._run.forget()
        self._backlog.clear()
        self._backlog_bytes = self._taken = 0
        self._ready.clear()
        self._spoke_s = -inf
        self._track_1_until_s = None
        self._card = b""

    def _step(self, *, awaiting_pin: bool) -> None:
        now_s, data = self._backlog[0]
        deadline_s = self.deadline_s
        if deadline_s is not None and deadline_s <= now_s:
            self._expire(deadline_s)
        elif skipped := self._framer.skip(data, self._taken, now_s):
            self._taken += skipped
        elif run := self._take_run(data, now_s, awaiting_pin=awaiting_pin):
            self._taken += run
        elif self._taken < len(data):
            self._taken += 1
            self._take(data[self._taken - 1], now_s, awaiting_pin=awaiting_pin)
        else:
            self._backlog.popleft()
            self._backlog_bytes -= len(data)
            self._taken = 0

    def _expire(self, deadline_s: float) -> None:
        if self._run:
            self._ready.extend(self._run.end_as_keys())
        elif self._framer.is_open:
            self._hear(self._without_end(self._framer.expire(deadline_s)), deadline_s)
        else:
            self._track_1_until_s = None
            self._ready.append(ONLY_TRACK_1)

    def _without_end(self, ended: bytes | Shape | None) -> bytes | Shape | None:
        """Return a frame that quiet has ended if it is a whole card, else ``CUT_OFF``."""
        if not isinstance(ended, bytes):
            return ended
        if self._carries_keys and KEYS.issuperset(ended):
            # Typed keys, however many, do not become a card by waiting.
            return None if looks_typed(ended) else Shape.CUT_OFF
        return ended if isinstance(identify(ended), CardRead) else Shape.CUT_OFF

    def _take_run(self, data: bytes, now_s: float, *, awaiting_pin: bool) -> int:
        """Take bytes that only continue a frame; return how many."""
        if self._run or (awaiting_pin and not self._framer.is_open):
            return 0
        found = self._looked_at.search(data, self._taken)
        end = len(data) if found is None else found.start()
        return self._framer.take_run(data, self._taken, end, now_s)

    def _take(self, byte: int, now_s: float, *, awaiting_pin: bool) -> None:
        is_lone = awaiting_pin and byte in self._lone
        is_key = awaiting_pin and byte in KEYS
        if self._run and (not is_key or self._run.is_full):
            self._end_run(byte, now_s)
        if (is_key or is_lone) and not self._framer.is_open:
            maybe_lrc = self._framer.key_may_be_lrc(byte, now_s)
            self._run.take(byte, now_s, maybe_lrc=maybe_lrc)
            return
        if byte in _START_SENTINELS and self._holds_stray_keys():
            self._framer.forget()
        self._hear(self._framer.take(byte, now_s), now_s)

    def _holds_stray_keys(self) -> bool:
        # A stray key just before a swipe is no part of the stripe.
        held = self._framer.held
        return self._carries_keys and bool(held) and only_keys(held)

    def _end_run(self, byte: int, now_s: float) -> None:
        ends_or_starts = byte in _FRAME_STARTS or (byte in TERMINATORS and self._run.looks_typed())
        if ends_or_starts:
            self._ready.extend(self._run.end_as_keys())
            return
        for key in self._run.end_as_frame():
            self._framer.take(key, now_s)

    def _hear(self, heard: bytes | Shape | None, now_s: float) -> None:
        if isinstance(heard, bytes):
            heard = self._without_keys(heard)
        reading = self._read(heard) if isinstance(heard, bytes) else heard and CardUnreadable(heard)
        if reading == ONLY_TRACK_1:
            self._hold_track_1(now_s)
        elif reading is not None:
            self._spoke_s = now_s
            self._track_1_until_s = None
            self._ready.append(reading)

    def _without_keys(self, frame: bytes) -> bytes:
        """Take a key off that was pressed just before the reader repeated its card's digits."""
        typed = frame.removesuffix(self._card)
        if self._carries_keys and typed and only_keys(typed) and len(typed) < len(frame):
            self._ready.extend(keys(typed))
            return self._card
        return frame

    def _read(self, frame: bytes) -> Reading | None:
        reading = None if self._carries_keys and looks_typed(frame) else identify(frame)
        self._card = frame if isinstance(reading, CardRead) else self._card
        return reading

    def _hold_track_1(self, now_s: float) -> None:
        if now_s >= self._spoke_s + FRAME_IDLE_S:
            self._track_1_until_s = now_s + FRAME_IDLE_S
