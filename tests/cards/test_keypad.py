"""The PIN pad's own line: which bytes are keys, in each of the forms that keypads send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.keys import (
    BURST_GAP_S,
    KEYS,
    USUAL_KEYS,
    KeypadLine,
    KeyShape,
    byte_of,
    key_bytes,
    keys,
)
from doorctl.core.readings import CardRead
from tests.cards.samples import PLASTIC_CARD, Caller, pressed
from tests.fakes.cards import plastic


def typed(*sent: bytes, gap_s: float = 1.0, keypad: KeypadLine | None = None) -> str:
    """Return the keys of what comes, each piece so long after the one before."""
    line = keypad or KeypadLine()
    heard = (line.receive(data, at * gap_s)[0] for at, data in enumerate(sent))
    return "".join(key.key for pressed_keys in heard for key in pressed_keys)


@pytest.mark.parametrize("clear", [b"*", b"\x08", b"\x7f", b"\x1b", b"C", b"c"])
@pytest.mark.parametrize("enter", [b"#", b"\r", b"\n", b"\r\n", b"E"])
def test_clear_and_enter_in_their_usual_forms(clear: bytes, enter: bytes) -> None:
    """Four digits, one taken back, and enter: CR LF is one key.

    Bug (mission review): a CLEAR that is BS or ESC was dropped, so a slip cost a guess.
    """
    assert typed(b"4", b"9", clear, b"4", b"7", b"1", b"1", enter) == "49*4711#"


def test_cr_and_lf_are_one_enter_however_they_are_cut() -> None:
    """Two enters are two."""
    assert typed(b"471\r\n", b"471\r", b"\n", b"471\n", b"\r\n\r\n", gap_s=0.01) == (
        "471#471#471###"
    )


def test_a_line_end_behind_one_digit_is_no_enter() -> None:
    """A keypad that sends each key as a line: nobody presses enter within 30 ms of a digit."""
    assert typed(b"4\r\n", b"7\r\n", b"1\r\n", b"1\r\n") == "4711"
    assert typed(b"4", b"\r", gap_s=BURST_GAP_S / 2) == "4"
    assert typed(b"4", b"\r", gap_s=BURST_GAP_S) == "4#"


def test_an_entry_that_comes_at_once_keeps_its_enter() -> None:
    """A keypad that sends a whole entry, as with a code."""
    assert typed(b"483920\r\n") == "483920#"


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (b"\x00\x07", KeyShape.CONTROL),
        (b"A", KeyShape.VISIBLE),
        (b"\xb1", KeyShape.HIGH_BIT),
    ],
)
def test_a_byte_that_means_nothing_is_told_by_its_shape(data: bytes, shape: KeyShape) -> None:
    """And is no key: 0xb1 is a one with a parity bit, which nobody's log shall hold."""
    assert KeypadLine().receive(data, 0.0) == ((), frozenset({shape}))
    assert KeypadLine().receive(b"4711*#\x08E", 0.0)[1] == frozenset()


def test_the_table_is_the_configuration_s() -> None:
    """What it leaves out means nothing; what it names counts, by whichever name."""
    pad = KeypadLine(key_bytes(["0x2d", "ESC"], ["A"]))

    assert typed(b"-", b"\x1b", b"\x08", b"A", b"\r", keypad=pad) == "**#"
    assert [byte_of(each) for each in ("a", "DEL", "0x1B")] == [97, 127, 27]


@given(st.lists(st.binary(max_size=6), max_size=8), st.sampled_from([0.0, 0.01, 1.0]))
def test_whatever_comes_no_digit_is_made_up(sent: list[bytes], gap_s: float) -> None:
    """The digits are those that were sent, in order; all other keys are of the table."""
    heard = typed(*sent, gap_s=gap_s)
    digits = "".join(chr(byte) for byte in b"".join(sent) if chr(byte) in "0123456789")

    assert "".join(key for key in heard if key.isdigit()) == digits
    known = sum(byte in KEYS or byte in USUAL_KEYS for byte in b"".join(sent))
    assert len(heard) <= known


def awaiting(sent: list[tuple[float, bytes]]) -> list[object]:
    """Return what is read on the reader's own line while four keys are awaited."""
    caller = Caller(carries_keys=True, awaiting_pin=True)
    for at_s, data in sent:
        while (due_s := caller.reader.deadline_s) is not None and due_s <= at_s:
            caller.pass_time(due_s)
        caller.receive(data, at_s)
    caller.wait()
    return list(caller.readings)


@pytest.mark.parametrize("clear", [b"\x08", b"\x7f", b"\x1b", b"C", b"c"])
def test_clear_counts_on_the_reader_s_own_line(clear: bytes) -> None:
    """Where it comes alone; a card's first letter is none."""
    sent = [(0.0, b"4"), (1.0, clear), (2.0, b"7")]
    assert awaiting(sent) == [*pressed("4*7")]

    card = clear + b"30001234"
    expected = [CardRead((plastic(card.decode()),))] if clear.isalpha() else None
    found = awaiting([(0.0, b"4"), (1.0, card + b"\r"), (2.0, b"7")])
    assert found[0] == pressed("4")[0]
    if expected:
        assert found[1:] == [*expected, *pressed("7")]
    assert not [each for each in found[1:] if each in pressed("*")]


def test_the_line_end_of_a_card_is_no_enter() -> None:
    """On the reader's own line CR and LF belong to the card, which a phone's reader repeats."""
    sent = [(0.0, b"4"), (1.0, b"3000001234\r\n"), (2.0, b"\r"), (3.0, b"7")]
    assert awaiting(sent) == [*pressed("4"), PLASTIC_CARD, *pressed("7")]


def test_keys_without_a_table_are_the_plain_ones() -> None:
    """As the screen's are."""
    assert list(keys(b"4*#\rEC\x08")) == pressed("4*#")
