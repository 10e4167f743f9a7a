"""A person's rights at a door that runs.

Bug (stranger's review): an erasure while the person stood at the door: the attempt's end wrote the
row key back.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from doorctl.demo.door import Stage
from tests.e2e.conftest import Doors
from tests.e2e.door import Door, refusal, until
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, STRANGER


def said(door: Stage, *words: str, stdin: str = "") -> str:
    """Run a command that has to work, in silence on stderr; return what it said."""
    done = door.call("subject", *words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def held(door: Stage, number: str) -> dict[str, Any]:
    """Return what is shown as held, by database."""
    told = json.loads(said(door, "export", "-", "--json", stdin=f"{number}\n"))
    shown: dict[str, Any] = told["held"]
    return shown


def cards(door: Door) -> set[bytes]:
    """Return all row keys of the register."""
    return {row[0] for row in door.query("SELECT row_key FROM patrons", database="patrons.db")}


def test_restricted_refused_erased_unknown(doors: Doors) -> None:
    """From the first request to the last byte, without a restart; others come in all the while."""
    door = doors.started()
    door.settled(door.let_in(ENTITLED)["attempt"])
    shown = held(door, ENTITLED.number)
    assert {database: set(tables) for database, tables in shown.items()} == {
        "patrons.db": {"patrons"},
        "visits.db": {"attempts"},
    }

    said(door, "restrict", ENTITLED.number)
    assert door.visit(ENTITLED)["reason"] == "restricted"
    assert door.visit(ENTITLED, ENTITLED.wrong_pin)["reason"] == "wrong_pin"
    said(door, "unrestrict", ENTITLED.number)
    last = door.let_in(ENTITLED)["attempt"]
    door.settled(last)
    assert door.settled(door.let_in(ALSO_ENTITLED)["attempt"]).reason == "ok"

    before = cards(door)
    assert "library system too" in said(door, "erase", "-", stdin=f"{ENTITLED.number}\n")

    (key,) = before - cards(door)
    files = [path for path in door.directory.iterdir() if path.is_file()]
    assert [path.name for path in files if key in path.read_bytes()] == []
    assert held(door, ENTITLED.number) == {}
    assert door.visit(ENTITLED)["reason"] == "unknown_card"
    assert door.let_in(ALSO_ENTITLED)["reason"] == "ok"


@pytest.mark.parametrize("pin", [ENTITLED.pin, ENTITLED.wrong_pin], ids=["right", "wrong"])
def test_who_is_erased_while_at_the_door_is_on_record_as_nobody(doors: Doors, pin: str) -> None:
    """The attempt goes on, of a card that nobody knows now: its end stands there, its card not."""
    door = doors.started()
    before = cards(door)
    attempt = door.swipe(ENTITLED.swipe)
    said(door, "erase", "-", stdin=f"{ENTITLED.number}\n")
    (key,) = before - cards(door)
    door.press(pin)

    row = until(lambda: next((row for row in door.rows() if row.verdict is not None), None))
    assert (row.attempt, row.reason, row.row_key) == (attempt, "unknown_card", None)
    assert door.query("SELECT count(*) FROM throttles") == [(0,)]
    files = [path for path in door.directory.iterdir() if path.is_file()]
    assert [path.name for path in files if key in path.read_bytes()] == []


def test_nothing_typed_is_repeated(doors: Doors) -> None:
    """Neither a number nor whose it is stands in what is refused."""
    door = doors.made()

    assert "not restricted" in refusal(door, "subject", "unrestrict", STRANGER.number)
    assert STRANGER.number not in refusal(door, "subject", "unrestrict", STRANGER.number)
