"""SIGHUP at a real door: what is safe is in force for the next card, all else stays as it was.

Bug (outside look): a terminal that hung up, or a hand that reloads, ended the door; other hours
needed a restart, with nobody let in meanwhile.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.door import Door
from tests.e2e.people import ENTITLED, NOT_RESIDENT

CLOSED = "[hours]\nmonday = []\n"
EVERYBODY = "[policy]\nrequire_resident = false\n"


@pytest.fixture
def file(door: Door, tmp_path: Path) -> Path:
    """Give the door a file of its own, and start it with a long release."""
    own = tmp_path / "door.toml"
    own.write_text(Path(door.options[0].removeprefix("--config=")).read_text())
    door.options[0] = f"--config={own}"
    door.configured("door.release_s=2").start()
    return own


def reload(door: Door, file: Path, *more: str) -> None:
    """Write more into the file and have it read again, as `systemctl reload` does."""
    file.write_text("\n".join((file.read_text(), *more)))
    door.skip()
    os.kill(door.pid, signal.SIGHUP)


def test_an_attempt_under_way_knows_the_policy_that_it_began_by(door: Door, file: Path) -> None:
    """The next one has the new one, and the relay has moved for that one alone."""
    attempt = door.swipe(NOT_RESIDENT.swipe)
    door.press(NOT_RESIDENT.pin[:2])
    reload(door, file, EVERYBODY)
    # The worker does one thing after another: once it answers this, it has read the file.
    door.call("selftest")
    assert not [line for line in door.said("config") if line["state"] == "taken"]
    door.press(NOT_RESIDENT.pin[2:])

    assert door.wait_for("decision", attempt=attempt)["reason"] == "not_resident"
    assert door.wait_for("config", state="taken")["why"] == "policy.require_resident"
    assert door.visit(NOT_RESIDENT)["reason"] == "ok"
    door.wait_for("relay", energised=False)
    assert [line["energised"] for line in door.said("relay")] == [True, False]


def test_a_wrong_file_changes_nothing(door: Door, file: Path) -> None:
    """One line says why, and the door decides as before; mended, it is taken."""
    right = file.read_text()
    reload(door, file, CLOSED, "[policy]\npin_length = 99")

    why = door.wait_for("config", state="refused")["why"]
    assert why.startswith("nothing was changed: ")
    assert "policy.pin_length" in why
    assert door.visit(ENTITLED)["reason"] == "ok"
    file.write_text(right)
    reload(door, file, EVERYBODY)
    door.wait_for("config", state="taken")
    assert door.alarms() == []


def test_a_start_tells_what_was_changed(door: Door, file: Path) -> None:
    """Since the start before, what was taken in between too; a first start says nothing."""
    assert door.said("config") == []
    reload(door, file, EVERYBODY)
    door.wait_for("config", state="taken")
    door.stop()
    door.lines.clear()
    door.start_door()
    door.stop()

    told = [(line["state"], line["why"]) for line in door.said("config")]
    assert told == [("changed", "policy.require_resident: false, it was true")]
