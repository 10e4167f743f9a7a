"""People with special rights or none at a real door: bans, passes, codes, companions, duress."""

from __future__ import annotations

import re

from tests.e2e.conftest import Doors
from tests.e2e.door import CONTACT, WIRED, Door, said, until
from tests.e2e.hours import CLOSED, ahead
from tests.e2e.people import ENTITLED, NOT_RESIDENT, STRANGER, Person

LABEL = ("--label", "Skakklubben", "--to", ahead(5))


def ban(door: Door, person: Person) -> None:
    """Ban somebody by a card's number that no command line shows."""
    said(door, "bans", "add", "-", "--reason", "uro", stdin=f"{person.number}\n")


def code_of(issued: str) -> str:
    """Return the code that a command has shown."""
    found = re.search(r"The code is ([0-9 ]+);", issued)
    assert found
    return found[1].replace(" ", "")


def released(door: Door) -> int:
    """Return how often the strike was released."""
    return sum(edge.level for edge in door.edges(door.pid))


def test_a_pass_lets_somebody_in_whom_the_register_keeps_out(door: Door) -> None:
    """With the register's PIN, and at once; taken back, it opens nothing more."""
    door.start()
    assert door.visit(NOT_RESIDENT)["reason"] == "not_resident"
    said(door, "passes", "add", NOT_RESIDENT.number, "--kind", "association", *LABEL)
    door.let_in(NOT_RESIDENT)
    said(door, "passes", "revoke", "1")

    assert door.visit(NOT_RESIDENT)["reason"] == "not_resident"


def test_a_pass_has_a_pin_of_its_own(door: Door) -> None:
    """A card that the register has never heard of opens by that PIN alone, closed or not."""
    door.configured(*CLOSED).start()
    words = ("passes", "add", STRANGER.number, "--kind", "cleaner", "--own-pin", *LABEL)
    said(door, *words, "--outside-hours", stdin="7531\n7531\n")

    assert door.visit(STRANGER, "7532")["reason"] != "ok"
    assert door.visit(STRANGER, "7531")["reason"] == "ok"


def test_a_code_that_is_typed_opens_without_a_card(door: Door) -> None:
    """With # at its end; another code, and the same after it was taken back, open nothing."""
    door.configured("policy.code_entry=true").start()
    words = ("passes", "add", "--code", "--kind", "class", "--no-pin", *LABEL)
    code = code_of(said(door, *words))
    wrong = str((int(code) + 1) % 10 ** len(code)).zfill(len(code))

    door.press(f"{wrong}#")
    assert door.wait_for("decision")["reason"] != "ok"
    door.press(f"{code}#")
    assert door.wait_for("decision")["reason"] == "ok"
    door.wait_for("door", state="locked")
    said(door, "passes", "revoke", "1")
    door.press(f"{code}#")
    assert door.wait_for("decision")["reason"] != "ok"
    assert released(door) == 1


def test_companions_are_told_by_one_key(doors: Doors) -> None:
    """After the door has opened; the strike stays for them, and no key tells more than may come."""
    door = doors.made(*WIRED, "policy.companions_max=3", "door.release_s=3")
    door.start()
    attempt = door.visit(ENTITLED)["attempt"]
    door.press("72")

    line = door.wait_for("companions")
    assert (line["attempt"], line["count"]) == (attempt, 2)
    door.press("3")
    door.wait_for("door", state="locked")
    assert len(door.said("companions")) == 1
    assert [edge.level for edge in door.edges(door.pid)] == [1, 0]
    assert door.drives(door.pid, CONTACT) == []


def pins_of(door: Door) -> list[tuple[str, int]]:
    """Return what lamps and relay did, in order."""
    pins = ("GPIO17", "GPIO23", "GPIO24")
    edges = [edge for pin in pins for edge in door.edges(door.pid, pin)]
    return [(edge.pin, edge.level) for edge in sorted(edges, key=lambda one: one.monotonic_ns)]


def test_duress_opens_and_alarms_in_silence(doors: Doors) -> None:
    """The last digit one higher: pins and decision are as ever, and the alarm names nobody."""
    ever, under_duress = (doors.started("policy.duress=true") for _ in range(2))
    ever.let_in(ENTITLED)
    line = under_duress.visit(ENTITLED, ENTITLED.wrong_pin)
    under_duress.wait_for("alarm", kind="duress")
    under_duress.wait_for("door", state="locked")
    for door in (ever, under_duress):
        until(lambda door=door: not door.edges(door.pid, "GPIO23")[-1].level)  # type: ignore[misc]

    assert line["reason"] == "ok"
    assert pins_of(under_duress) == pins_of(ever)
    (alarm,) = under_duress.said("alarm")
    assert "attempt" not in alarm
    assert ever.alarms() == []
    assert under_duress.rows()[-1].reason == "ok"
