"""A card reader's line without the line: bytes and times go in, one reading at a time comes out."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from types import MappingProxyType

from doorctl.cards.numbers import MAX_FRAME_BYTES, ONLY_TRACK_1, identify
from doorctl.core.masked import CardRead, CardUnreadable, KeyPressed, Reading, Shape

# Bytes to frames: CR, LF, CRLF, TAB, STX ... ETX or quiet; bounded, and never waiting for ever.

STX, ETX = b"\x02\x03"
TERMINATORS = frozenset((*b"\r\n\t", ETX))
_LOOKED_FOR = re.compile(rb"[\r\n\t\x02\x03]")

HIGH_BIT = 0x80

FRAME_IDLE_S = 0.5
"""A frame without a new byte for so long is over: at 9600 baud the longest takes 0.27 s in all."""

BURST_GAP_S = 0.03
"""Bytes closer than this come from a machine: USB chips (FTDI) hand over every 16 ms at the latest,
and nobody presses two keys within 30 ms."""


ANOTHER_S = 0.15
"""Bytes that follow others after so long a pause are of another swipe: nobody swipes sooner."""


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


# The PIN pad's own line: which bytes are keys.

KEYS = frozenset(b"0123456789#*")
_NO_LRC_FOR_SURE = KEYS | TERMINATORS | {STX}
"""Bytes that, where one follows an ETX, need not be its LRC."""

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


# Key bytes on the reader's own line: pressed by a person, or a barcode that begins with digits?
# Clear and enter in their other forms count where they are alone; CR and LF end a card there.
#
# Speed decides. Bytes are held back until :data:`BURST_GAP_S` of quiet,
# or a terminator, shows their origin: 30 ms that nobody feels, and without which the first digit of
# one person's card could be the last digit of another person's PIN.

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


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Raw bytes of a serial line; personal data, so never shown.

    `read_s` is when they were read, monotonic, so that a loop that was held up does not take one
    swipe for two; None where nobody has noted it.
    """

    line: str
    data: bytes = field(repr=False)
    read_s: float | None = None


@dataclass(frozen=True, slots=True)
class LineConnected:
    """A serial line was opened and what lay in its buffers was dropped."""

    line: str


@dataclass(frozen=True, slots=True)
class LineLost:
    """A serial line could not be opened or was unplugged; it is tried again by itself."""

    line: str
    why: str


LineEvent = BytesReceived | LineConnected | LineLost
