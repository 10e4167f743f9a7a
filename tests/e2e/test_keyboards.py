"""The real door with a USB scanner and a USB keypad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.e2e.conftest import Doors, Loaded
from tests.e2e.keyed_door import TWO_KEYBOARDS, KeyedDoor
from tests.e2e.people import ALSO_ENTITLED, DEBTOR, ENTITLED, THIRD_ENTITLED
from tests.fakes.keyboard import ENTER, NUMBER_PAD, chord, moved, typed

REFUSED_NAMES = {
    "usb-Maker_mouse-event-kbd": "is a mouse",
    "usb-Maker_gamepad-event-kbd": "is a gamepad",
    "usb-Maker_headset-event-kbd": "has no keys for ten digits",
}


@pytest.fixture
def door(doors: Doors, loaded: Loaded, keyboards: Path) -> Iterator[KeyedDoor]:
    """Return a running door with both devices."""
    with KeyedDoor(doors.made(), loaded, keyboards) as door:
        door.start()
        yield door


def test_a_scan_and_a_pin_open_the_door(door: KeyedDoor) -> None:
    """Barcode, plastic card and the stripe of a wedge alike; a wrong PIN and a debtor stay out.

    No line of the log holds a number.
    """
    scans = ((ENTITLED, "{}\r"), (ALSO_ENTITLED, "]C0{}\r\n"))
    for who, scan in scans:
        attempt = door.swipe(scan.format(who.number).encode())
        door.press(who.pin)
        assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
        door.wait_for("door", state="locked")
    assert door.let_in(THIRD_ENTITLED)["verdict"] == "granted"
    assert door.visit(DEBTOR, DEBTOR.wrong_pin)["reason"] == "wrong_pin"

    assert door.stop() == 0
    assert door.complaint() == ""
    told = str(door.lines)
    assert not [who for who, _ in scans if who.number in told]


def test_a_device_that_is_pulled_is_told_and_heard_when_it_is_back(door: KeyedDoor) -> None:
    """Also after so long a loss that it is an alarm; the half of a card before it is no card."""
    for who, kind in ((ALSO_ENTITLED, "reader_lost"), (ENTITLED, None)):
        door.reader.send(b"30000")
        door.reader.pull()
        lost = door.wait_for("reader", state="lost")
        assert lost["why"].endswith("was unplugged or stopped answering; check the cable")
        if kind is not None:
            # A loss of twenty seconds is one.
            door.wait_for("alarm", kind=kind)
        door.reader.put_in()
        door.wait_for("reader", state="connected")
        assert door.let_in(who)["reason"] == "ok"

    assert door.alarms().count("reader_lost") == 1


def test_a_keypad_clears_and_repeats_no_key(door: KeyedDoor) -> None:
    """Digits of the numeric keypad, a key held long, BackSpace before the PIN, and Enter behind."""
    attempt = door.swipe(ALSO_ENTITLED.swipe)
    code = NUMBER_PAD["9"]
    door.keyboard.press([*moved(code, 1), *[event for _ in range(9) for event in moved(code, 2)]])
    door.keyboard.press([*moved(code, 0), *typed("\b")])
    for digit in ALSO_ENTITLED.pin:
        door.keyboard.press(chord(NUMBER_PAD[digit]))
    door.keyboard.press(chord(ENTER))

    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"


@pytest.mark.parametrize(("name", "why"), REFUSED_NAMES.items())
def test_what_is_no_scanner_is_refused_and_the_door_lives(
    doors: Doors, loaded: Loaded, keyboards: Path, name: str, why: str
) -> None:
    """One line that says what it is and what to name, while the keypad's line goes on."""
    named = MappingProxyType({"reader": name})
    with KeyedDoor(doors.made(), loaded, keyboards, names=named) as door:
        door.start()
        assert door.stop() == 0
    (lost,) = door.said("reader")
    (keypad,) = door.said("keypad")

    assert why in lost["why"]
    assert lost["why"].endswith("name a scanner or keypad of /dev/input/by-id")
    assert (lost["state"], keypad["state"]) == ("lost", "connected")


def test_a_scanner_of_a_us_layout_beside_a_serial_keypad(
    doors: Doors, loaded: Loaded, keyboards: Path
) -> None:
    """Each line has its own kind, and the reader its own layout."""
    over = (TWO_KEYBOARDS[0], 'reader.layout="us"')
    with KeyedDoor(doors.made(), loaded, keyboards, over, layout="us") as door:
        door.start()

        assert door.let_in(ENTITLED)["reason"] == "ok"
