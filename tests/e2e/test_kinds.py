"""Known cards and PINs go through each kind of reader and keypad, and nothing keeps one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.canaries import CANARIES, CARD, CARD_PIN, WRONG_PIN, files_under, left
from tests.e2e.commands import doors_under
from tests.e2e.conftest import Doors
from tests.e2e.door import said
from tests.e2e.kinds import CABLED, KINDS
from tests.e2e.people import Person, write_feed

OWNER = Person(CARD, CARD_PIN)
SPARED = ("feed", "installation.key", "reader.key")
"""What went in."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_card_and_no_digit_is_left(doors: Doors, keyboards: Path, kind: str) -> None:
    """Card, right and wrong PIN, keys that nobody awaits, a reader that is lost amid a PIN.

    Searched is whatever the door wrote, its log and the names of files among it, in each spelling.
    """
    door = doors.made("policy.pin_length=8")
    CABLED[kind](door)
    if kind == "usb":
        door.doors = doors_under(str(keyboards))
    feed = write_feed(door.directory / "feed", (OWNER,))
    said(door, "patrons", "load", str(feed), "--full", "--approved-by", "B. Hansen")
    door.start()

    assert door.let_in(OWNER)["reason"] == "ok"
    assert door.visit(OWNER, WRONG_PIN)["reason"] == "wrong_pin"
    attempt = door.swipe(OWNER.swipe)
    door.press_heard(CARD_PIN[:4])
    door.reader.pull()
    door.wait_for("reader", state="lost")
    door.reader.put_in()
    door.wait_for("reader", state="connected")
    door.press(CARD_PIN)  # half a PIN is forgotten with the line
    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
    door.press(CARD_PIN)  # nobody awaits it, and no attempt follows that it could spoil
    assert door.stop() == 0

    written = files_under(door.directory, *(door.directory / name for name in SPARED))
    written["log"] = repr(door.lines).encode()
    assert left(written) == []
    assert left({"log": str(CARD).encode()}) != [], "the search finds"
    assert CARD in CANARIES.values()
