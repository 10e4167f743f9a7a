"""What a line brings, as an installer may see it: shape, framing and meaning, but never a digit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from doorctl.cards.framing import ANOTHER_S, ETX, STX, TERMINATORS, as_sent
from doorctl.cards.keys import HIGH_BIT, USUAL_KEYS, KeyBytes, KeypadLine
from doorctl.cards.reader import CardReader
from doorctl.core.masked import IdentifierKind
from doorctl.core.readings import CardUnreadable, KeyPressed, Reading, Shape


class Meaning(Enum):
    """What a card or a key was; a card that could not be read has a `Shape` in its place."""

    HEALTH_CARD = "health_card"
    LIBRARY_CARD = "library_card"
    TEN_DIGITS = "ten_digits"
    DIGIT = "digit"
    ENTER = "enter"
    CLEAR = "clear"
    UNKNOWN_KEY = "unknown_key"


SENTENCES: Mapping[Meaning | Shape, str] = MappingProxyType(
    {
        Meaning.HEALTH_CARD: "a health card",
        Meaning.LIBRARY_CARD: "a library card",
        Meaning.TEN_DIGITS: "a card of ten digits",
        Meaning.DIGIT: "a digit",
        Meaning.ENTER: "enter",
        Meaning.CLEAR: "clear",
        Meaning.UNKNOWN_KEY: "a key that means nothing; see keypad.clear and keypad.enter",
        Shape.GARBAGE: "unreadable: no card number and no CPR number",
        Shape.TOO_LONG: "unreadable: too long; set the reader to send CR behind each card",
        Shape.CUT_OFF: "unreadable: cut off; if that is each card, set the reader to send CR",
        Shape.ONLY_TRACK_1: "unreadable: track 2 is missing; swipe slower, or have it sent",
        Shape.BAD_DATE: "unreadable: as long as a CPR number, but it begins with no date",
    }
)
"""What is told of each; the catalogues translate it."""

_CARDS: Mapping[frozenset[IdentifierKind], Meaning] = MappingProxyType(
    {
        frozenset({IdentifierKind.CPR}): Meaning.HEALTH_CARD,
        frozenset({IdentifierKind.CARD}): Meaning.LIBRARY_CARD,
    }
)
_KEYS: Mapping[str, Meaning] = MappingProxyType({"#": Meaning.ENTER, "*": Meaning.CLEAR})


def meaning_of(reading: Reading) -> Meaning | Shape:
    """Return what a reading was, without its number or its digit."""
    if isinstance(reading, CardUnreadable):
        return reading.shape
    if isinstance(reading, KeyPressed):
        return _KEYS.get(reading.key, Meaning.DIGIT)
    kinds = frozenset(each.kind for each in reading.identifiers)
    return _CARDS.get(kinds, Meaning.TEN_DIGITS)


_NAMES: Mapping[int, str] = MappingProxyType(
    {0: "NUL", 2: "STX", 3: "ETX", 8: "BS", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 127: "DEL"}
)
_RUN = re.compile(r"9{3,}|A{3,}|(<high>){3,}|(<control>){3,}")


def masked(data: bytes) -> str:
    """Return the shape of bytes: ``9{10}<CR>`` for ten digits and a CR.

    A digit is 9, a letter is A, and runs of three and more are counted. Control characters with a
    name that readers send stand in ``<>``, all others are ``<control>``, and a byte above ASCII is
    ``<high>``. Punctuation stays.
    """
    return _RUN.sub(_counted, "".join(map(_masked_byte, data)))


def _masked_byte(byte: int) -> str:
    if byte in _NAMES:
        return f"<{_NAMES[byte]}>"
    if byte >= HIGH_BIT:
        return "<high>"
    text = chr(byte)
    if text.isalnum():
        return "9" if text.isdigit() else "A"
    return text if text.isprintable() else "<control>"


def _counted(run: re.Match[str]) -> str:
    unit = run[1] or run[2] or run[0][0]
    return f"{unit}{{{len(run[0]) // len(unit)}}}"


def framing(data: bytes) -> str:
    """Return the names of what stands around a frame: ``CR LF``, ``STX ETX LRC``, "" for nothing.

    Of several frames what stands around all of them.
    """
    has_lrc = len(data) > 1 and data[-2] == ETX and data[-1] not in TERMINATORS
    body = data[:-1] if has_lrc else data
    end = body[len(body.rstrip(bytes(TERMINATORS))) :]
    begin = "STX" if data[:1] == bytes([STX]) else ""
    return " ".join(filter(None, [begin, *(_NAMES[byte] for byte in end), "LRC" * has_lrc]))


@dataclass(frozen=True, slots=True)
class Inspected:
    """What came between two silences of a line; several meanings where several cards came.

    Args:
        shape: as `masked` shows it, of the first :data:`MOST_BYTES`.
        framing: as the function has it.
        meanings: in their order; none where what came is neither card nor key.
        bits: ``7E1`` or ``7O1`` where that is what the bytes seem to be and no card was read in
            them; else "".
    """

    shape: str
    framing: str
    meanings: tuple[Meaning | Shape, ...]
    bits: str = ""

    @property
    def is_read(self) -> bool:
        """Whether a card was read among it."""
        return not READ.isdisjoint(self.meanings)

    @property
    def is_keys(self) -> bool:
        """Whether keys came and no card, so that no framing is awaited."""
        return bool(self.meanings) and KEYS.issuperset(self.meanings)


LEAST_BYTES = 4
"""Fewer bytes say nothing about the bits of a character."""

KEYS = frozenset({Meaning.DIGIT, Meaning.ENTER, Meaning.CLEAR, Meaning.UNKNOWN_KEY})
READ = frozenset({Meaning.HEALTH_CARD, Meaning.LIBRARY_CARD, Meaning.TEN_DIGITS})
"""What is a card that was read."""

MOST_BYTES = 512
"""Of what comes at once so much is shown: the longest card twice over."""

Read = Callable[[bytes, float], list[Meaning | Shape]]
"""Bytes of a line, none for quiet, and when they came -> what they mean."""


class Inspector:
    """Gather what one line brings until it is quiet; times are monotonic seconds."""

    def __init__(self, read: Read, due_s: Callable[[], float | None]) -> None:
        self._read = read
        self._due_s = due_s
        self._data = bytearray()
        self._more = False
        self._meanings: list[Meaning | Shape] = []
        self._last_s: float | None = None

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes, at least one; `ended` goes first."""
        room = MOST_BYTES - len(self._data)
        self._data += data[:room]
        self._more |= len(data) > room
        self._last_s = now_s
        self._meanings += self._read(data, now_s)

    @property
    def deadline_s(self) -> float | None:
        """When it is to be looked whether the line is quiet; None while nothing is gathered."""
        if self._last_s is None:
            return None
        return max(self._last_s + ANOTHER_S, self._due_s() or 0.0)

    def ended(self, now_s: float) -> Inspected | None:
        """Return what was gathered, once the line has been quiet for long enough; None before."""
        due_s = self.deadline_s
        if due_s is None or now_s < due_s:
            return None
        self._meanings += self._read(b"", now_s)
        if self._due_s() is not None:
            return None
        data = bytes(self._data)
        gathered = Inspected(
            masked(data) + "…" * self._more,
            "" if self._more else framing(data),
            (*self._meanings,),
            _bits(data) if READ.isdisjoint(self._meanings) else "",
        )
        self._data.clear()
        self._meanings.clear()
        self._more, self._last_s = False, None
        return gathered


def _bits(data: bytes) -> str:
    bits, _ = as_sent(data)
    return bits if bits != "8N1" and len(data) >= LEAST_BYTES else ""


def reader_inspector(*, carries_keys: bool, key_bytes: KeyBytes = USUAL_KEYS) -> Inspector:
    """Return what looks at a card reader's line, as `CardReader` reads it at the door."""
    reader = CardReader(carries_keys=carries_keys, key_bytes=key_bytes)

    def read(data: bytes, now_s: float) -> list[Meaning | Shape]:
        if data:
            reader.receive(data, now_s)
        else:
            reader.pass_time(now_s)
        heard = []
        while (reading := reader.next_reading(awaiting_pin=carries_keys)) is not None:
            heard.append(meaning_of(reading))
        return heard

    return Inspector(read, lambda: reader.deadline_s)


def keypad_inspector(key_bytes: KeyBytes) -> Inspector:
    """Return what looks at a keypad's own line, as `KeypadLine` reads it at the door."""
    keypad = KeypadLine(key_bytes)

    def read(data: bytes, now_s: float) -> list[Meaning | Shape]:
        pressed, unknown = keypad.receive(data, now_s)
        return [*map(meaning_of, pressed), *([Meaning.UNKNOWN_KEY] * bool(unknown))]

    return Inspector(read, lambda: None)
