"""Records of Linux's input devices, however they come, and which devices are keyboards."""

from __future__ import annotations

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.extras.usb.records import EVENT, InputEvent, Records, keys_among, unfit

LONG_64, LONG_32 = Struct("<qqHHi"), Struct("<iiHHi")

EVENTS = st.lists(
    st.builds(
        InputEvent,
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        st.integers(-(2**31), 2**31 - 1),
    )
)

LETTER_ROW = frozenset(range(16, 26))
UPPER_ROW = frozenset(range(2, 12))
PAD = frozenset((71, 72, 73, 75, 76, 77, 79, 80, 81, 82))
TELEPHONE = frozenset(range(0x200, 0x20C))
MOUSE = frozenset(range(0x110, 0x118))
GAMEPAD = frozenset(range(0x130, 0x13F))


def test_a_record_is_the_kernels_of_this_machine() -> None:
    """Two longs, two shorts and an int, without a hole: 24 bytes where a long has 64 bits."""
    assert EVENT.size == {8: 24, 4: 16}[Struct("@l").size]
    assert (LONG_64.size, LONG_32.size) == (24, 16)


@pytest.mark.parametrize("record", [LONG_64, LONG_32], ids=["64", "32"])
@given(st.data(), EVENTS, st.binary(max_size=15))
def test_events_do_not_depend_on_how_the_bytes_come(
    record: Struct, data: st.DataObject, events: list[InputEvent], junk: bytes
) -> None:
    """Any cut gives the same events; half a record behind them gives none."""
    stream = b"".join(record.pack(7, 9, each.kind, each.code, each.value) for each in events) + junk
    records, start = Records(record), 0
    found: list[InputEvent] = []
    while start < len(stream):
        end = data.draw(st.integers(start + 1, len(stream)))
        found += records.cut(stream[start:end])
        start = end

    assert found == events


def test_a_half_record_is_whole_with_its_rest() -> None:
    """Nothing is lost and nothing is read twice."""
    one = EVENT.pack(0, 0, 1, 30, 1)
    records = Records()

    assert [*records.cut(one[:5])] == []
    assert [*records.cut(one[5:] + one[:1])] == [InputEvent(1, 30, 1)]
    assert [*records.cut(one[1:])] == [InputEvent(1, 30, 1)]


def test_which_key_it_was_is_not_shown() -> None:
    """It may be a digit of a PIN."""
    assert repr(InputEvent(1, 5, 1)) == "InputEvent(kind=1, value=1)"


@given(st.frozensets(st.integers(0, 0x2FF)))
def test_a_bit_field_is_the_keys_whose_bits_are_set(keys: frozenset[int]) -> None:
    """Bit 0 of the first byte is key 0."""
    bits = bytearray(0x300 // 8)
    for key in keys:
        bits[key // 8] |= 1 << key % 8

    assert keys_among(bytes(bits)) == keys


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (UPPER_ROW, None),
        (PAD, None),
        (TELEPHONE, None),
        (UPPER_ROW | MOUSE, None),
        (UPPER_ROW - {6} | LETTER_ROW, "has no keys for ten digits"),
        (PAD - {82}, "has no keys for ten digits"),
        (TELEPHONE - {0x200}, "has no keys for ten digits"),
        (LETTER_ROW, "has no keys for ten digits"),
        (frozenset(), "has no keys for ten digits"),
        (MOUSE, "is a mouse"),
        (GAMEPAD, "is a gamepad"),
        (frozenset((0x120,)), "is a gamepad"),
        (GAMEPAD | MOUSE, "is a mouse"),
    ],
)
def test_a_scanner_or_keypad_has_ten_digits(keys: frozenset[int], why: str | None) -> None:
    """Whatever else it has; a device without is called what it is."""
    assert unfit(keys) == why
