"""The card reader's line, with and without keys on it, and the keypad's own line.

An input is what somebody does at the reader: a swipe, keys, noise. Inputs are fed in streams, as a
line brings them: a reader that was left in a bad state by one shows it with the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from doorctl.cards.framing import FRAME_IDLE_S, Framer
from doorctl.cards.identify import MAX_FRAME_BYTES, ONLY_TRACK_1, identify
from doorctl.cards.keys import KEYS, MOST_AT_ONCE, keys
from doorctl.cards.numbers import is_cpr
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.readings import CardRead, CardUnreadable, Reading, Shape
from tests.cards.samples import HEALTH_CARD, STRIPE, TRACK_1, TRACK_2, TRACK_3, Caller, byte_by_byte

SEEDS = (
    b"3000001234\r",
    b"3000001234\r\n",
    b"0101701234\n",
    b"010170-1234AB\r",
    b"\x023000001234\x03\x7f",
    b";3000001234?\r",
    b";" + TRACK_2 + b"?\r",
    STRIPE + b"\r",
    b"%" + TRACK_1 + b"?\r",
    TRACK_1 + TRACK_2 + b"\r",
    b"4711",
    b"4711#",
    b"*47",
    b"\x02\x03",
    b"]C03000001234\t",
    b"*3000001234*\r",
    b"A0101701234B\r",
    b";3000001234=9912101?\r",
    b";" + TRACK_2 + b"?;E?\r",
    TRACK_3 + b"\r",
)
WORDS = (
    b"\t", b";E?", b"]C0", b"=",
    b"\r", b"\n", b"\x02", b"\x03", b"%", b";", b"?", b"+", b":", b"#", b"*", b"-", b" ", b"\x00",
    b"9208", b"010170", b"1234", b"3112", b"61", b"\xff", b"^", b"x" * 100,
)  # fmt: skip
LONGEST = 600
LONGEST_CUT = 150

Stream = Sequence[tuple[float, bytes]]
"""Inputs, each with the moment at which all of its bytes come, in monotonic seconds."""

Cut = Callable[[bytes], Iterable[bytes]]
"""How an input's bytes arrive."""

PLASTIC = re.compile(r"(?=[0-9A-Za-z-]{4,47}\Z)[0-9A-Za-z]+(-[0-9A-Za-z]+)*")
UNTOLD = (ONLY_TRACK_1, None)
LATE_S = 10 * FRAME_IDLE_S


def check(data: bytes) -> None:
    """Check one input in every way: both sorts of line, three cuts, memory, and the next card."""
    random = Random(len(data))  # noqa: S311 - where it is cut must only be the same each time
    stream = ((0.0, data),)
    for carries_keys in (False, True):
        whole = readings(stream, (lambda data: (data,)), carries_keys=carries_keys)
        check_stream(stream, random, carries_keys=carries_keys, whole=whole)
        single = readings(stream, byte_by_byte, carries_keys=carries_keys)
        assert single == whole, "byte by byte it reads otherwise"
    check_framing(data)
    check_keypad(data)


def check_stream(
    stream: Stream, random: Random, *, carries_keys: bool, whole: list[Reading] | None = None
) -> None:
    """Check inputs on one line: two cuts of the same bytes, what is believed, and the next card."""

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            end = start + 1 + int(random.random() ** 3 * LONGEST_CUT)
            yield data[start:end]
            start = end

    if whole is None:
        whole = readings(stream, (lambda data: (data,)), carries_keys=carries_keys)
    assert readings(stream, cut, carries_keys=carries_keys) == whole, "cut, it reads otherwise"
    assert whole[-1] == HEALTH_CARD, "the next card is not read"
    text = b"".join(data for _, data in stream).decode("latin-1")
    bare = text.replace("-", "").replace(" ", "")
    for reading in whole[:-1]:
        if isinstance(reading, CardRead):
            check_card(reading.identifiers, text, bare)


def check_card(identifiers: Sequence[Identifier], text: str, bare: str) -> None:
    """Check that a card stands in the bytes as it was read, and is one."""
    assert 1 <= len(identifiers) <= 3
    for identifier in identifiers:
        number = identifier.reveal().partition(":")[2]
        if identifier.kind is IdentifierKind.CPR:
            assert number in bare, "a CPR number that nobody sent"
            assert is_cpr(number), "a CPR number of no date"
        else:
            assert number in text, "a card number that nobody sent"
            assert PLASTIC.fullmatch(number), "a card number that is none"


def check_framing(data: bytes) -> None:
    """Check against the framer's slow way, byte by byte, on a line without keys; and its memory."""
    framer = Framer()
    expected: list[Reading | None] = []
    for byte in data + b"\r" + STRIPE + b"\r":
        heard = framer.take(byte, 0.0)
        expected.append(identify(heard) if isinstance(heard, bytes) else _unreadable(heard))
        assert len(framer.held) <= MAX_FRAME_BYTES, "a frame grows without end"
    whole = readings(((0.0, data),), lambda data: (data,), carries_keys=False)
    # Track 1 alone is held back, for the track 2 that may follow.
    told, wanted = ([each for each in some if each not in UNTOLD] for some in (whole, expected))
    assert told == wanted, "in one piece it reads otherwise than byte by byte"


def _unreadable(shape: Shape | None) -> CardUnreadable | None:
    return None if shape is None else CardUnreadable(shape)


def check_keypad(data: bytes) -> None:
    """Check the PIN pad's own line: the keys among the bytes, in order, however they are cut."""
    found = [byte for byte in data if byte in KEYS]
    pressed = keys(data)
    if len(found) > MOST_AT_ONCE:
        assert pressed == (), "more keys than a person presses"
        return
    assert [ord(key.key) for key in pressed] == found
    half = len(data) // 2
    assert keys(data[:half]) + keys(data[half:]) == pressed


def readings(stream: Stream, cut: Cut, *, carries_keys: bool) -> list[Reading]:
    """Play a stream with a good card as its last; return all that is read."""
    line = Caller(carries_keys=carries_keys)
    now_s = 0.0
    for now_s, data in stream:
        line.wait(now_s)
        for chunk in cut(data):
            line.receive(chunk, now_s)
    # A terminator ends whatever has begun: no more than that frame is lost.
    line.receive(b"\r" + STRIPE + b"\r", now_s)
    line.wait(now_s + LATE_S)
    return line.readings
