"""A phone that is held before the reader, and slips of the finger, at a real door's lines."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED
from tests.fakes.waiting import until

ON_THE_READERS_LINE = ("keypad.port=",)
CPR_TEXT = f"{ENTITLED.number[:6]} {ENTITLED.number[6:]}"


@pytest.mark.parametrize(
    ("text", "overrides"),
    [(ALSO_ENTITLED.number, ()), (CPR_TEXT, ON_THE_READERS_LINE)],
    ids=["a card, and a keypad", "a CPR number, and keys on the same line"],
)
def test_a_phone_that_is_held_there_while_its_pin_is_typed_gets_in(
    doors: Doors, text: str, overrides: tuple[str, ...]
) -> None:
    """The reader reads it before and behind each digit: none is lost, and there is one row."""
    person = ENTITLED if text == CPR_TEXT else ALSO_ENTITLED
    door = doors.started(*overrides)
    card = f"{text}\r".encode()
    attempt = door.swipe(card)
    for digit in person.pin:
        door.reader.send(card)
        door.press_heard(digit)
    door.reader.send(card)

    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
    door.wait_for("door", state="locked")
    assert [row.reason for row in door.rows()] == ["ok"]


@pytest.mark.parametrize(
    ("clear", "overrides"),
    [(b"\x08", ()), (b"\x7f", ON_THE_READERS_LINE), (b"\x1b", ())],
    ids=["BS", "DEL on the reader's line", "ESC"],
)
def test_a_slip_is_cleared_as_keypads_send_it(
    doors: Doors, clear: bytes, overrides: tuple[str, ...]
) -> None:
    """Three wrong digits, CLEAR, and the whole PIN: in, and nobody has guessed."""
    door = doors.started(*overrides)
    attempt = door.swipe(ALSO_ENTITLED.swipe)
    door.press_heard("999")
    door.hear_click(lambda: door.keypad.send(clear))
    door.press_heard(ALSO_ENTITLED.pin)

    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
    assert until(lambda: door.settled(attempt)).reason == "ok"


def test_a_barcode_of_a_cpr_number_with_a_blank_is_the_card(shared_door: Door) -> None:
    """As phones show it: the same patron as by the stripe."""
    attempt = shared_door.swipe(f"{CPR_TEXT}\r".encode())
    shared_door.press(ENTITLED.pin)

    assert shared_door.wait_for("decision", attempt=attempt)["reason"] == "ok"
