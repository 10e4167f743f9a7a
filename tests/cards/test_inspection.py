"""What an installer sees of a line: shape, framing and kind of each card, and no digit of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import doorctl
from doorctl.cards.inspection import (
    MOST_BYTES,
    SENTENCES,
    Inspected,
    Inspector,
    Meaning,
    framing,
    keypad_inspector,
    masked,
    reader_inspector,
)
from doorctl.cards.keys import USUAL_KEYS
from doorctl.core.language import own
from doorctl.core.readings import Shape
from tests.cards.samples import STRIPE, TRACK_1, TRACK_2

LATE_S = 100.0
NO = 19 * " "
"""What fills a name and an address up."""

READERS = {
    "cards": lambda: reader_inspector(carries_keys=False, key_bytes=USUAL_KEYS),
    "cards and keys": lambda: reader_inspector(carries_keys=True, key_bytes=USUAL_KEYS),
    "keypad": lambda: keypad_inspector(USUAL_KEYS),
}


def seen(inspector: Inspector, data: bytes, at_s: float = 0.0) -> Inspected:
    """Return what came, after the quiet that each deadline asks for."""
    inspector.receive(data, at_s)
    while (due_s := inspector.deadline_s) is not None:
        if (ended := inspector.ended(due_s)) is not None:
            return ended
    raise AssertionError(data)


@pytest.mark.parametrize(
    ("data", "shape", "frame", "meanings"),
    [
        (b"3000001234\r", "9{10}<CR>", "CR", [Meaning.LIBRARY_CARD]),
        (b"3000001234\r\n", "9{10}<CR><LF>", "CR LF", [Meaning.LIBRARY_CARD]),
        (b"3000001234\t", "9{10}<TAB>", "TAB", [Meaning.LIBRARY_CARD]),
        (b"\x023000001234\x03", "<STX>9{10}<ETX>", "STX ETX", [Meaning.LIBRARY_CARD]),
        (b"\x023000001234\x037", "<STX>9{10}<ETX>9", "STX ETX LRC", [Meaning.LIBRARY_CARD]),
        (b"]C0AB-123456\r", "]A9AA-9{6}<CR>", "CR", [Meaning.LIBRARY_CARD]),
        (b"0101701234\r", "9{10}<CR>", "CR", [Meaning.TEN_DIGITS]),
        (b"010170-1234\r", "9{6}-9{4}<CR>", "CR", [Meaning.HEALTH_CARD]),
        (b"010170 1234\r", "9{6} 9{4}<CR>", "CR", [Meaning.HEALTH_CARD]),
        (b";" + TRACK_2 + b"?\r", ";9{37}?<CR>", "CR", [Meaning.HEALTH_CARD]),
        (
            STRIPE + b"\r",
            f"%A{{3}}^A{{4}} A{{6}}{NO}]A\\A{{3}} A{{4}} 9 9{NO}9{{7}}?;9{{37}}?<CR>",
            "CR",
            [Meaning.HEALTH_CARD],
        ),
        (b"320170-1234\r", "9{6}-9{4}<CR>", "CR", [Shape.BAD_DATE]),
        (b"Jens Jensen\r", "A{4} A{6}<CR>", "CR", [Shape.GARBAGE]),
        (b"%" + TRACK_1[:8] + b"?\r", "%A{3}^A{4}?<CR>", "CR", [Shape.ONLY_TRACK_1]),
        (b"\x023000001", "<STX>9{7}", "STX", [Shape.CUT_OFF]),
        (b"\xe6\xf8\xe5\xb0\x1d\x01\r", "<high>{4}<control><control><CR>", "CR", [Shape.GARBAGE]),
        (b" \r", " <CR>", "CR", []),
        (b"\x00", "<NUL>", "", []),
        (
            b"3000001234\r3000001235\r",
            "9{10}<CR>9{10}<CR>",
            "CR",
            [Meaning.LIBRARY_CARD, Meaning.LIBRARY_CARD],
        ),
        (b"x" * 700 + b"\r", "A{512}…", "", [Shape.TOO_LONG]),
    ],
)
@pytest.mark.parametrize("reader", ["cards", "cards and keys"])
def test_what_a_card_readers_line_brings(
    reader: str, data: bytes, shape: str, frame: str, meanings: list[Meaning | Shape]
) -> None:
    """The same card is the same with keys on the line and without."""
    assert seen(READERS[reader](), data) == Inspected(shape, frame, (*meanings,))


@pytest.mark.parametrize(
    ("data", "shape", "meanings"),
    [
        (b"4", "9", [Meaning.DIGIT]),
        (b"4\r", "9<CR>", [Meaning.DIGIT]),
        (b"#", "#", [Meaning.ENTER]),
        (b"*", "*", [Meaning.CLEAR]),
        (b"\x08", "<BS>", [Meaning.CLEAR]),
        (b"\x7f", "<DEL>", [Meaning.CLEAR]),
        (b"\x1b", "<ESC>", [Meaning.CLEAR]),
        (b"4711", "9{4}", [Meaning.DIGIT] * 4),
        (b"F", "A", [Meaning.UNKNOWN_KEY]),
    ],
)
def test_what_a_keypads_own_line_brings(
    data: bytes, shape: str, meanings: list[Meaning | Shape]
) -> None:
    """Which key it was is told of enter and clear alone."""
    assert seen(READERS["keypad"](), data).shape == shape
    assert seen(READERS["keypad"](), data).meanings == (*meanings,)


def test_a_key_on_the_readers_line_is_a_key() -> None:
    """A digit that comes alone, where the line carries keys; elsewhere it is nothing."""
    assert seen(READERS["cards and keys"](), b"4") == Inspected("9", "", (Meaning.DIGIT,))
    assert seen(READERS["cards"](), b"4") == Inspected("9", "", ())


def test_a_reader_without_a_terminator_can_not_share_its_line_with_keys() -> None:
    """Its card would be keys that somebody types, and that is what the installer sees."""
    assert seen(READERS["cards"](), b"3000001234").meanings == (Meaning.LIBRARY_CARD,)
    assert seen(READERS["cards and keys"](), b"3000001234").meanings == (Meaning.DIGIT,) * 10


@pytest.mark.parametrize("parity", [0, 1])
def test_a_parity_bit_that_nobody_set_is_named(parity: int) -> None:
    """The bytes of a card at 7E1 and 7O1, as a line of 8N1 brings them; fewer say nothing."""
    data = bytes(byte | 0x80 * (byte.bit_count() % 2 != parity) for byte in b"3000001234\r")
    shown = seen(READERS["cards"](), data)

    assert shown.bits == ("7E1", "7O1")[parity]
    assert seen(READERS["cards"](), data[:3]).bits == ""
    assert seen(READERS["cards"](), b"3000001234\r").bits == ""


def test_a_swipe_in_two_pieces_is_shown_as_what_came_at_once() -> None:
    """The pieces of one swipe come within a tenth of a second."""
    inspector = READERS["cards"]()
    inspector.receive(b"30000", 1.0)
    early = inspector.ended(1.1)
    inspector.receive(b"01234\r", 1.1)

    assert [early, inspector.ended(1.2)] == [None, None]
    assert inspector.ended(2.0) == Inspected("9{10}<CR>", "CR", (Meaning.LIBRARY_CARD,))
    assert inspector.ended(3.0) is None
    assert seen(inspector, b"010170-1234\n", 5.0).meanings == (Meaning.HEALTH_CARD,)


@given(st.binary(max_size=600))
def test_no_digit_and_no_letter_is_shown(data: bytes) -> None:
    """Bytes that differ in these alone look the same, whatever stands around them."""
    assert masked(data) == masked(data.translate(OTHERS))
    assert len(masked(data[:MOST_BYTES])) <= 9 * MOST_BYTES


OTHERS = bytes.maketrans(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + bytes(range(128, 256)),
    b"1234567890xyzbcdefghijklmnopqrstuvwaKLMNOPQRSTUVWXYZABCDEFGHIJ" + bytes(range(255, 127, -1)),
)


@given(
    st.sampled_from(sorted(READERS)),
    st.lists(st.binary(min_size=1, max_size=80) | st.sampled_from([STRIPE, b"3000001234\r"])),
)
def test_any_bytes_end_in_something_that_can_be_shown(name: str, chunks: list[bytes]) -> None:
    """Quiet always comes to an end, and then nothing is held back for the next card."""
    inspector = READERS[name]()
    for at, chunk in enumerate(chunks):
        shown = seen(inspector, chunk, at * LATE_S)
        assert inspector.deadline_s is None
        assert shown.framing == framing(chunk)
        assert all(meaning in SENTENCES for meaning in shown.meanings)


@pytest.mark.parametrize(
    ("data", "is_read", "is_keys"),
    [(b"3000001234\r", True, False), (b"???\r", False, False), (b"4", False, True)],
)
def test_whether_a_card_or_a_key_was_read(data: bytes, *, is_read: bool, is_keys: bool) -> None:
    """So that nothing is said of framing or bits where there was none to see."""
    read = seen(READERS["keypad" if is_keys else "cards"](), data)

    assert (read.is_read, read.is_keys) == (is_read, is_keys)


def test_a_line_that_waits_for_more_is_not_shown_yet() -> None:
    """Where the reading itself still has a deadline, the line is looked at once more then."""
    due: list[float | None] = [1.0, 1.0, 5.0, 5.0, None]
    inspector = Inspector(lambda _data, _now_s: [], lambda: due.pop(0) if len(due) > 1 else due[0])
    inspector.receive(b"3", 0.0)

    assert inspector.ended(2.0) is None
    assert inspector.ended(2.0) is None
    assert inspector.ended(5.0) is not None


def test_each_meaning_has_its_words_in_danish() -> None:
    """What an installer reads is in the language of the branch."""
    danish = own("da").words
    source = Path(doorctl.__file__).with_name("cli").joinpath("reader.py").read_text("utf-8")
    said = re.findall(r'\bsay\(\s*"([^"]+)"|text = "([^"]+)"', source)

    assert {*SENTENCES} == {*Meaning, *Shape}
    assert len(said) > 5
    texts = [*SENTENCES.values(), *(first or second for first, second in said)]
    assert [text for text in texts if danish.gettext(text) == text] == []
