"""A patron with a health card and a plastic one at a real door, and who found the plastic one."""

from __future__ import annotations

import json
from dataclasses import replace

from doorctl.access.throttle import MOST_WRONG_PINS, SHARED_WAIT_S
from tests.e2e.conftest import Doors
from tests.e2e.door import Door
from tests.e2e.people import Person

HEALTH = Person("0101707766", "4711", kind="CPR")
PLASTIC = replace(HEALTH, number="3000007766", kind="CARD")


def owned(doors: Doors) -> Door:
    """Return a door that knows them as one patron's, and runs."""
    door = doors.made()
    row, other = HEALTH.feed_row(7766), PLASTIC.feed_row(7766)
    row["identifiers"] += other["identifiers"]
    feed = door.directory / "both.ndjson"
    feed.write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = door.call("patrons", "load", str(feed), "--approved-by", "test")
    assert done.returncode == 0, done.stderr
    door.start()
    return door


def reason(door: Door, card: Person, pin: str = HEALTH.pin) -> object:
    """Come with a card and a PIN; return the decision's reason once it is on record."""
    decision = door.visit(card, pin)
    door.settled(int(str(decision["attempt"])))
    return decision["reason"]


def pass_seconds(door: Door, seconds: int) -> None:
    """Have all failures be so much older."""
    door.change("UPDATE throttles SET boot_ms = boot_ms - ?", 1000 * seconds)


def test_the_finder_of_a_plastic_card_and_its_owner(doors: Doors) -> None:
    """Three in all are free; then the owner's other card waits half a minute, and never longer.

    Twenty wrong PINs at the found card end that one, for its owner too, until staff unlock it.

    Bug (second penetration test, 2.7): they ended the health card too, for a month.
    """
    door = owned(doors)
    assert [reason(door, PLASTIC, HEALTH.wrong_pin) for _ in range(3)] == ["wrong_pin"] * 3
    assert reason(door, HEALTH) == "throttled"
    pass_seconds(door, SHARED_WAIT_S)
    assert reason(door, HEALTH) == "ok"

    door.change("DELETE FROM throttles")
    more = range(1000, 1000 + MOST_WRONG_PINS - 3)
    for attempt in more:
        door.change(
            "INSERT INTO wrong_pins SELECT ?, day, row_key, patron_ref, 0, at_card "
            "FROM wrong_pins WHERE attempt = (SELECT min(attempt) FROM wrong_pins)",
            attempt,
        )
    assert reason(door, PLASTIC) == "throttled"
    assert reason(door, HEALTH) == "ok"
    done = door.call("patrons", "unlock", HEALTH.number)
    assert done.returncode == 0, done.stderr
    assert reason(door, PLASTIC) == "ok"
