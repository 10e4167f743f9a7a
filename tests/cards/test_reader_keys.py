"""One line that carries cards and keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.framing import BURST_GAP_S, FRAME_IDLE_S
from doorctl.cards.reader import KEYS, MAX_KEYS, MOST_AT_ONCE, keys
from doorctl.core.masked import CardRead
from tests.cards.samples import (
    CUT_OFF,
    GARBAGE,
    HEALTH_CARD,
    ONLY_TRACK_1,
    PLASTIC_CARD,
    STRIPE,
    TRACK_1,
    TRACK_2,
    Caller,
    byte_by_byte,
    card,
    cpr,
    pressed,
    readings_of,
)

BARCODE = CardRead((card("0101701234"), cpr("0101701234")))


def awaiting() -> Caller:
    """Return a caller that has read a card and awaits four keys."""
    return Caller(carries_keys=True, awaiting_pin=True)


def test_a_card_and_its_pin_in_one_write_are_told_in_order() -> None:
    """The card comes first, the caller then awaits keys, and then they come.

    Bug (end-to-end test): on a line that carries keys too, a card's first digit completed
    another patron's PIN.
    """
    for end in (b"\r", b"\n", b"\r\n", b"\x03"):
        readings = readings_of(b"3000001234" + end + b"4711", carries_keys=True)

        assert readings == [PLASTIC_CARD, *pressed("4711")]


def test_a_typed_key_is_told_before_the_next_one() -> None:
    """A person types no two keys within 30 ms, so each is told before the next comes."""
    caller = awaiting()
    for number, key in enumerate(byte_by_byte(b"47*1")):
        caller.receive(key, number * BURST_GAP_S)
        assert len(caller.readings) == number
    caller.pass_time(4 * BURST_GAP_S)

    assert caller.readings == pressed("47*1")


def test_a_burst_of_keys_is_told_when_it_is_over() -> None:
    """All of them after 30 ms of quiet."""
    caller = awaiting()
    caller.receive(b"4711", 1.0)
    assert caller.readings == []
    assert caller.reader.deadline_s == 1.0 + BURST_GAP_S

    caller.pass_time(1.0 + BURST_GAP_S - 0.001)
    assert caller.readings == []
    caller.pass_time(1.0 + BURST_GAP_S)
    assert caller.readings == pressed("4711")
    assert caller.reader.deadline_s is None


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\x03"])
@pytest.mark.parametrize("keys", ["4711", "47#", "4711#", "*4711"])
def test_a_line_end_after_keys_is_no_reading(keys: str, end: bytes) -> None:
    """Some pads send one; it ends the burst and means nothing itself."""
    caller = awaiting()
    caller.receive(keys.encode() + end, 0.0)

    assert caller.readings == pressed(keys)[:4]


def test_a_barcode_in_the_middle_of_an_entry_is_a_card() -> None:
    """None of its digits is a key; the card starts the entry afresh."""
    caller = awaiting()
    caller.receive(b"4", 0.0)
    caller.receive(b"0101701234\r", 1.0)

    assert caller.readings == [*pressed("4"), BARCODE]


def test_a_barcode_in_bundles_is_still_one_burst() -> None:
    """USB chips hand over every 16 ms."""
    caller = awaiting()
    for number, bundle in enumerate((b"010", b"1701", b"234", b"\r")):
        caller.receive(bundle, number * 0.016)

    assert caller.readings == [BARCODE]


@pytest.mark.parametrize(
    ("text", "number"), [(b"30000A1234", "30000A1234"), (b"12345678901234567890", None)]
)
def test_letters_and_long_numbers_in_a_burst_are_a_card(text: bytes, number: str | None) -> None:
    """A burst that goes on like no PIN becomes a frame, its first digit included."""
    readings = readings_of(text + b"\r", carries_keys=True, awaiting_pin=True)

    assert readings == [CardRead((card(number or text.decode()),))]


def test_a_barcode_with_a_hyphen_in_the_middle_of_an_entry_is_a_card() -> None:
    """The digits before the hyphen were part of it."""
    readings = readings_of(b"010170-1234\r", carries_keys=True, awaiting_pin=True)

    assert readings == [CardRead((cpr("0101701234"),))]


@pytest.mark.parametrize("start", [b"", b"\x02"])
def test_a_stripe_in_the_middle_of_an_entry_is_a_card(start: bytes) -> None:
    """Keys pressed just before it stay keys; its own digits are none."""
    caller = awaiting()
    caller.receive(b"47" + start + STRIPE + b"\r", 0.0)

    assert caller.readings == [*pressed("47"), HEALTH_CARD]


def test_a_barcodes_first_digit_is_never_the_last_of_a_pin() -> None:
    """After three digits of somebody's PIN the fourth does not come from somebody else's card."""
    caller = awaiting()
    for number, key in enumerate(byte_by_byte(b"471")):
        caller.receive(key, float(number))
    caller.receive(b"0101701234\r", 5.0)

    assert caller.readings == [*pressed("471"), BARCODE]


@pytest.mark.parametrize(("length", "last"), [(MAX_KEYS, []), (MAX_KEYS + 1, [CUT_OFF])])
def test_a_burst_too_long_for_keys_and_without_an_end_is_cut_off(
    length: int, last: list[object]
) -> None:
    """Up to twelve are keys, of which four are awaited; more were half a card."""
    keys = "123456789012345"[:length]
    readings = readings_of(keys.encode(), carries_keys=True, awaiting_pin=True)

    assert readings == (last or pressed(keys[:4]))


@pytest.mark.parametrize(
    "keys", [b"4", b"4711", b"#", b"*", b"4711#", b"*4711*", b"1#2*3#4*", b"#" * MAX_KEYS]
)
@pytest.mark.parametrize("end", [b"", b"\r", b"\x03"])
def test_keys_that_nobody_awaits_vanish(keys: bytes, end: bytes) -> None:
    """Playing with the pad is no card, readable or not."""
    assert readings_of(keys + end, carries_keys=True) == []


def test_five_digits_that_nobody_awaits_as_keys_are_a_card() -> None:
    """The shortest plastic card has five."""
    assert readings_of(b"47110\r", carries_keys=True) == [CardRead((card("47110"),))]
    assert readings_of(b"47110", carries_keys=True) == [CUT_OFF]


@pytest.mark.parametrize("keys", [b"#" * (MAX_KEYS + 1), b"####;", b"12#4A"])
def test_what_nobody_types_is_garbage(keys: bytes) -> None:
    """More keys than a PIN can have, or keys among letters, are a frame."""
    assert readings_of(keys + b"\r", carries_keys=True) == [GARBAGE]


@pytest.mark.parametrize("start", [b"", b"\x02"])
def test_a_stray_key_before_a_swipe_is_no_part_of_it(start: bytes) -> None:
    """Somebody pressed a key while nothing was awaited, and then swiped."""
    assert readings_of(b"5" + start + STRIPE + b"\r", carries_keys=True) == [HEALTH_CARD]


@pytest.mark.parametrize("lrc", [b"5", b"#"])
def test_an_lrc_that_is_a_key_byte_is_no_key(lrc: bytes) -> None:
    """It follows its ETX at once and alone; the person's first key comes later."""
    caller = Caller(carries_keys=True)
    caller.receive(b"\x02;" + TRACK_2 + b"?\x03" + lrc, 0.0)
    for number, key in enumerate(byte_by_byte(b"4711")):
        caller.receive(key, 1.0 + number)
    caller.pass_time(9.0)

    assert caller.readings == [HEALTH_CARD, *pressed("4711")]


def test_a_pin_in_one_write_behind_an_etx_keeps_its_first_key() -> None:
    """More than one byte is no LRC, whatever was typed before."""
    caller = awaiting()
    caller.receive(b"9", 0.0)
    caller.receive(b"\x023000001234\x034711", 1.0)
    caller.wait()

    assert caller.readings == [*pressed("9"), PLASTIC_CARD, *pressed("4711")]


def test_a_card_in_stx_and_etx_is_never_keys() -> None:
    """An open frame keeps its digits, even those of a barcode."""
    readings = readings_of(b"\x020101701234\x03", carries_keys=True, awaiting_pin=True)

    assert readings == [BARCODE]


def test_track_1_behind_its_track_2_does_not_disturb_the_entry() -> None:
    """The caller awaits keys by then; the second line vanishes all the same."""
    lines = b";" + TRACK_2 + b"?\r%" + TRACK_1 + b"?\r4711"

    assert readings_of(lines, carries_keys=True) == [HEALTH_CARD, *pressed("4711")]


def test_keys_do_not_end_the_hold_of_a_track_1() -> None:
    """A worn card in the middle of an entry is told, and the keys too."""
    caller = awaiting()
    caller.receive(b"%" + TRACK_1 + b"?\r", 0.0)
    caller.receive(b"4", FRAME_IDLE_S - 0.01)
    caller.wait()

    assert caller.readings == [*pressed("4"), ONLY_TRACK_1]


def test_an_entry_that_is_over_leaves_no_keys_behind() -> None:
    """Keys held back when nobody awaits them any longer vanish."""
    caller = awaiting()
    caller.receive(b"471199", 0.0)
    caller.wait()

    assert caller.readings == pressed("4711")


def test_a_lost_line_forgets_keys() -> None:
    """Keys that were held back are never pressed later."""
    caller = awaiting()
    caller.receive(b"47", 0.0)
    caller.reader.reset()
    caller.pass_time(1.0)

    assert caller.readings == []


def test_digits_enter_and_clear_are_keys() -> None:
    """All twelve keys come out, in their order."""
    assert list(keys(b"0123456789#*")) == pressed("0123456789#*")


def test_line_ends_and_noise_mean_nothing() -> None:
    """A keypad's CR and LF, and what a loose wire makes, are ignored."""
    assert list(keys(b"4\r7\n\x00;1\xff1\r\n")) == pressed("4711")


@given(st.binary())
def test_any_bytes_give_only_keys(data: bytes) -> None:
    """Nothing raises, nothing else comes out, and no key is shown."""
    found = keys(data)

    count = sum(byte in KEYS for byte in data)
    assert len(found) == (count if count <= MOST_AT_ONCE else 0)
    assert all(repr(key) == "KeyPressed()" for key in found)


def test_more_keys_at_once_than_anybody_presses_are_none() -> None:
    """A device that babbles presses nothing, and costs the loop nothing."""
    most = "7" * MOST_AT_ONCE

    assert list(keys(most.encode())) == pressed(most)
    assert keys(most.encode() + b"7") == ()
