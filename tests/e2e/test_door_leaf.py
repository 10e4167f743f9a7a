"""The leaf as its contact shows it, the way out, the fire alarm and the lobby, at a real door."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import BUZZER, CONTACT, EXIT, FIRE, UNHEARD_S, WIRED, Door, refusal, until
from tests.e2e.hours import CLOSED
from tests.e2e.people import ENTITLED

LONG = "door.release_s=20"


@pytest.fixture
def wired(doors: Doors) -> Door:
    """A door with all four inputs, not started."""
    return doors.made(*WIRED)


def states(door: Door) -> list[str]:
    """Return what the leaf was, in order."""
    return [line["state"] for line in door.said("door")]


def levels(door: Door) -> list[int]:
    """Return what the relay was, in order."""
    return [edge.level for edge in door.edges(door.pid)]


def await_buzzer(door: Door, after_ns: int) -> None:
    """Wait until the buzzer sounds, later than a time."""
    until(lambda: any(e.level and e.monotonic_ns > after_ns for e in door.edges(door.pid, BUZZER)))


def test_somebody_comes_in(wired: Door) -> None:
    """Released by card and PIN, opened, relocked behind the open leaf, locked once it is shut."""
    wired.start()
    assert wired.visit(ENTITLED)["reason"] == "ok"
    wired.contact(open=True)
    wired.wait_for("door", state="open")
    wired.wait_for("relay", energised=False)
    wired.contact(open=False)
    wired.wait_for("door", state="locked")

    assert states(wired) == ["released", "open", "locked"]
    assert levels(wired) == [1, 0]
    assert wired.alarms() == []
    found = json.loads(wired.call("status", "--json").stdout)
    assert (found["inside"], found["inside_low"], found["inside_high"]) == (1, 1, 2)


def test_the_exit_button_lets_out_of_a_closed_house(wired: Door) -> None:
    """What is opened by it is not forced."""
    wired.configured(*CLOSED, "door.exit_release_s=1").start()
    until(lambda: wired.said("mode"))
    wired.press_exit()
    await_buzzer(wired, 0)
    wired.contact(open=True)
    wired.wait_for("door", state="open")
    wired.contact(open=False)

    wired.wait_for("door", state="locked")
    until(lambda: levels(wired) == [1, 0])
    assert wired.alarms() == []


def test_a_fire_is_recorded_makes_no_noise_and_bars_nobody(wired: Door) -> None:
    """The alarm of a leaf that stands open waits until it is over; exit and card go on."""
    wired.start()
    wired.fire(active=True)
    assert wired.wait_for("fire")["state"] == "active"
    silent_from = len(wired.edges(wired.pid, BUZZER))
    wired.contact(open=True)
    wired.wait_for("door", state="forced")
    time.sleep(UNHEARD_S)
    assert wired.alarms() == []
    assert len(wired.edges(wired.pid, BUZZER)) == silent_from
    wired.press_exit()
    wired.wait_for("relay", energised=True)
    wired.wait_for("relay", energised=False)
    assert wired.visit(ENTITLED)["reason"] == "ok"
    wired.fire(active=False)
    assert wired.wait_for("fire")["state"] == "over"

    wired.wait_for("alarm", kind="door_forced")


def test_a_grant_waits_for_the_other_door(wired: Door) -> None:
    """The strike is released once the lobby's other door is shut, and not before."""
    wired.other_door(open=True)
    wired.configured("door.interlock_wait_s=60", LONG).start()
    assert wired.visit(ENTITLED)["reason"] == "ok"
    time.sleep(UNHEARD_S)
    assert levels(wired) == []
    wired.other_door(open=False)

    wired.wait_for("relay", energised=True)
    wired.wait_for("door", state="released")
    assert states(wired) == ["released"]


@pytest.mark.parametrize("pin", [CONTACT, EXIT, FIRE, "GPIO17", BUZZER])
def test_a_pin_that_can_not_be_claimed_is_told_in_one_line(pin: str, wired: Door) -> None:
    """A door that is not seen must not seem to be watched: it does not start."""
    wired.busy_pins = pin
    wired.reader.put_in()

    said = refusal(wired, "run")

    assert pin in said
    assert "busy" in said
