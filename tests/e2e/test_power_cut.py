from __future__ import annotations

import signal

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import RELAY, Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED

LONG = "door.release_s=20"
LAST_NUMBER = 2**63 - 1


def levels(door: Door, pid: int) -> list[int]:
    """Return the levels that the relay's pin took."""
    return [edge.level for edge in door.edges(pid)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stopped_in_mid_pulse(doors: Doors, number: int) -> None:
    """A daemon that is stopped while the strike is released locks the door, says so, exits 0."""
    door = doors.started(LONG)
    pid = door.pid
    attempt = door.visit(ENTITLED)["attempt"]
    assert levels(door, pid) == [1]

    code = door.signalled(number)

    assert code == 0
    assert levels(door, pid) == [1, 0]
    assert [line["energised"] for line in door.said("relay")] == [True, False]
    assert [line["state"] for line in door.said("door")] == ["released", "locked"]
    assert door.settled(attempt).reason == "ok"
    assert door.complaint() == ""


@pytest.mark.parametrize("active_high", ["true", "false"])
def test_killed_in_mid_pulse(doors: Doors, active_high: str) -> None:
    """After a SIGKILL `relay-off` drives the relay to off and exits 0; so does a start."""
    door = doors.started(LONG, f"gpio.relay_active_high={active_high}")
    pid = door.pid
    door.visit(ENTITLED)
    on = int(active_high == "true")
    assert door.drives(pid)[-1].level == on

    assert door.signalled(signal.SIGKILL) == -signal.SIGKILL
    assert door.drives(pid)[-1].level == on
    before = door.processes()
    done = door.call("relay-off")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (switcher,) = door.processes() - before
    assert {drive.level for drive in door.drives(switcher)} == {1 - on}
    door.start_door()
    assert {drive.level for drive in door.drives(door.pid)} == {1 - on}


def test_start_never_energises(doors: Doors) -> None:
    """From the start to `ready` the relay is driven to off and never to on."""
    for active_high in (True, False):
        door = doors.started(f"gpio.relay_active_high={str(active_high).lower()}")
        assert {drive.level for drive in door.drives(door.pid, RELAY)} == {int(not active_high)}


def test_power_cut_gives_no_free_guess(doors: Doors) -> None:
    """Each attempt that a power cut ends stays on record and charged: three of them, then a wait.

    Else whoever can pull the plug could try all 10 000 PINs.
    """
    door = doors.made()
    door.reader.put_in()
    door.keypad.put_in()
    for number in (1, 2, 3):
        door.start_door()
        assert door.swipe(ENTITLED.swipe) == number
        door.press(ENTITLED.wrong_pin[:3])
        assert door.signalled(signal.SIGKILL) == -signal.SIGKILL
        assert door.rows()[-1].verdict is None
        assert door.query("SELECT failures FROM throttles") == [(number,)]

    door.start_door()
    assert door.visit(ENTITLED)["reason"] == "throttled"

    assert [row.reason for row in door.rows()][:3] == ["fault", "fault", "fault"]
    assert door.settled(4).reason == "throttled"
    assert door.let_in(ALSO_ENTITLED)["attempt"] == 5


def test_killed_just_after_a_wrong_pin(doors: Doors) -> None:
    """A wrong PIN costs as much if the power goes right after it, before its outcome is stored."""
    door = doors.started()
    for _ in range(3):
        attempt = door.swipe(ENTITLED.swipe)
        door.press(ENTITLED.wrong_pin)
        door.wait_for("decision", attempt=attempt)
        door.signalled(signal.SIGKILL)
        door.start_door()

    assert door.visit(ENTITLED)["reason"] == "throttled"


def test_bug_in_mid_pulse(doors: Doors) -> None:
    """A bug of ours ends the daemon: relay off, a line that says so, a traceback, exit not 0.

    Forced by attempt numbers that run out of SQLite's 64 bits.
    """
    door = doors.made(LONG)
    door.change("INSERT INTO sqlite_sequence VALUES ('attempts', ?)", LAST_NUMBER - 1)
    door.start()
    pid = door.pid
    assert door.visit(ENTITLED)["attempt"] == LAST_NUMBER
    assert levels(door, pid) == [1]

    door.reader.send(ALSO_ENTITLED.swipe)

    assert door.exit_code() == 1
    assert levels(door, pid) == [1, 0]
    assert [line["energised"] for line in door.said("relay")] == [True, False]
    assert "OverflowError" in door.complaint()
    written = (door.directory / "door.stderr").read_text()
    for secret in (ENTITLED.number, ENTITLED.pin, ALSO_ENTITLED.number):
        assert secret not in written
