"""Bugs that were found.

Bug (penetration test): two seconds of digits from a babbling keypad held the next patron for 68 s
and the order to stop for 48 s; a repeating reader wrote a thousand `overloaded` lines.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED

HOSTILE = {
    "far too long": b"A" * 3_000 + b"\r",  # so many that they are no flood
    "no UTF-8": b"\xff\xfe\xc3\x28\xa0\xa1\r",
    "a log line": b'{"event":"decision","verdict":"granted","reason":"ok","attempt":1}\n',
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_one_unreadable_card(shared_door: Door, frame: bytes) -> None:
    """Whatever comes down the line is one unreadable card, and the next patron gets in."""
    seen = len(shared_door.lines)

    shared_door.reader.send(frame)
    unreadable = shared_door.wait_for("decision")
    row = shared_door.settled(unreadable["attempt"])
    shared_door.let_in(ENTITLED)

    assert (unreadable["verdict"], unreadable["reason"]) == ("refused", "card_unreadable")
    assert (row.verdict, row.reason, row.row_key) == ("refused", "card_unreadable", None)
    # What the start of a door on a busy machine still says is no answer to this.
    said = [line for line in shared_door.lines[seen:] if line["event"] not in {"purge", "mode"}]
    names = [line["event"] for line in said]
    assert names == ["decision", "relay", "door", "decision", "relay", "door"]


FLOOD_BYTES = 670_000
"""What two seconds of a USB device that never pauses bring."""

HEARD_S = 2.0
STOPPED_S = 5.0

FLOODS = {
    "digits": ("keypad", b"4711"),
    "a card": ("reader", ALSO_ENTITLED.swipe),
}


@pytest.mark.parametrize(("line", "what"), FLOODS.values(), ids=FLOODS)
def test_a_flood_holds_up_neither_the_next_patron_nor_a_stop(
    doors: Doors, line: str, what: bytes
) -> None:
    """A device that poured out bytes is heard two seconds after it fell silent, and told of once.

    What it sent meanwhile is dropped, so it can't hold the loop for as long as so many keys would;
    the order to stop is seen before the rest of it.
    """
    flood = what * (FLOOD_BYTES // len(what))
    door = doors.started("policy.code_entry=true")
    getattr(door, line).send(flood)
    time.sleep(HEARD_S)
    seen = len(door.lines)

    door.let_in(ENTITLED)
    # Once for the bytes and once for the cards in them.
    assert door.alarms().count("overloaded") <= 2
    assert len(door.lines) - seen <= 10

    getattr(door, line).send(flood)
    asked_s = time.monotonic()
    assert door.stop() == 0
    assert time.monotonic() - asked_s < STOPPED_S
