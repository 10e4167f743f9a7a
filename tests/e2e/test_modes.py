"""Hours, modes and SIGHUP at a real door: what is safe is in force for the next card.

Bug (penetration test): a captured web process opened the door in anybody's name, as often as it
liked.

Bug (outside look): a terminal that hung up, or a hand that reloads, ended the door; other hours
needed a restart, with nobody let in meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from doorctl.config.tables import DEEDS
from tests.e2e.door import Door, refusal, said
from tests.e2e.people import (
    ALSO_ENTITLED,
    CLOSED,
    ENTITLED,
    NOT_RESIDENT,
    THIRD_ENTITLED,
    Person,
    in_s,
)
from tests.fakes.another_user import NOBODY, ask_as
from tests.fakes.waiting import until


def set_mode(door: Door, mode: str) -> None:
    """Set a mode by hand, for an hour, and wait until the door has it."""
    door.skip()
    said(door, "mode", "set", mode, "--until", in_s(3600), "--reason", "a trial")
    door.wait_for("mode", state=mode, cause="staff")


def modes(door: Door) -> list[tuple[str, str]]:
    """Return every mode with its cause, as the log has them."""
    return [(line["state"], line["cause"]) for line in door.said("mode")]


def reason(door: Door, person: Person = ENTITLED) -> str:
    """Have somebody swipe and type; return how it ended."""
    return str(door.visit(person)["reason"])


def test_staff_open_once_from_the_desk(door: Door) -> None:
    """Whatever the mode; it stands in the log with why and by whom; without a door it is told."""
    assert "is it running?" in refusal(door, "open", "--reason", "delivery")
    door.configured(*CLOSED).start()
    assert "leave them out" in refusal(door, "open", "--reason", f"for {ENTITLED.number}")
    assert said(door, "open", "--reason", "delivery") == "The door is released, once.\n"

    line = door.wait_for("opened_by_staff")
    assert line["why"] == "delivery"
    assert line["by"]
    until(lambda: door.levels() == [1, 0])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_the_door_signs_no_opening_as_a_person_whom_web_names(door: Door) -> None:
    """It says which user asked, and opens five times in a row and no more."""
    door.configured(*CLOSED).start()
    asked = {"reason": "delivery", "by": "manager1", "until_s": time.monotonic() + 60.0}
    question = {"ask": "open", "about": asked}
    answers = [ask_as(NOBODY, door.directory / "door.sock", question) for _ in range(6)]

    assert door.wait_for("opened_by_staff")["by"] == "doorctl-web, who names manager1"
    assert answers[:5] == [{}] * 5
    assert "too often" in answers[5]["refused"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_what_is_kept_from_web_is_roots(door: Door) -> None:
    """All that `control.kept_from_web` can name is refused to others; root still opens."""
    door.configured(f"control.kept_from_web={json.dumps(DEEDS)}", *CLOSED).start()
    path = door.directory / "door.sock"
    refused = [ask_as(NOBODY, path, {"ask": deed}).get("refused", "") for deed in DEEDS]
    said(door, "open", "--reason", "delivery")

    assert all("control.kept_from_web" in one for one in refused)
    assert door.wait_for("opened_by_staff")["why"] == "delivery"


def removed(path: Path) -> None:
    """Take the file away."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def replaced(path: Path) -> None:
    """Put rubbish in its place."""
    removed(path)
    path.write_bytes(b"rubbish " * 4096)


def overwritten(path: Path) -> None:
    """Damage the file where it lies, as a worn-out card does."""
    with path.open("r+b") as file:
        file.write(b"rubbish " * (path.stat().st_size // 8))


BOTH = {"branch_failing", "calendar_unknown"}


def healed(door: Door, backup: Path) -> None:
    """Put the backup in its place and wait until patrons come in again; a banned one does not.

    They come by turns: a card that is read again with no key between is taken for a phone that is
    still held there.
    """
    removed(door.directory / "branch.db")
    backup.rename(door.directory / "branch.db")
    entitled = (THIRD_ENTITLED, ALSO_ENTITLED)
    until(lambda: [reason_after_a_while(door, person) for person in entitled] == ["ok", "ok"])
    assert reason(door) == "banned"


def reason_after_a_while(door: Door, person: Person) -> str:
    """Have somebody swipe who may be refused before a PIN is asked for; return how it ended.

    Who is refused types nothing: such keys may arrive behind the next card, and count as its PIN.
    """
    door.skip()
    before, decided = door.open_attempts(), len(door.said("decision"))
    door.reader.send(person.swipe)
    until(lambda: door.open_attempts() - before or len(door.said("decision")) > decided)
    if len(door.said("decision")) == decided:
        door.press(person.pin)
    return str(door.wait_for("decision")["reason"])


@pytest.mark.parametrize(
    ("runs", "lose", "alarms"),
    [
        pytest.param(True, removed, {"branch_failing"}, id="away while it runs"),
        pytest.param(True, overwritten, set(), id="damaged while it runs"),
        pytest.param(False, replaced, BOTH, id="replaced before the start"),
        pytest.param(False, overwritten, BOTH, id="damaged before the start"),
    ],
)
def test_bans_and_hours_that_are_lost(
    door: Door, lose: Callable[[Path], None], alarms: set[str], *, runs: bool
) -> None:
    """Everybody meets a fault once that is seen, whoever is banned at once; the backup heals it."""
    said(door, "bans", "add", ENTITLED.number, "--reason", "uro")
    backup = door.directory / "backup"
    shutil.copy(door.directory / "branch.db", backup)
    if runs:
        door.start()
        assert reason(door) == "banned"
    lose(door.directory / "branch.db")
    if not runs:
        door.start()

    until(lambda: alarms <= set(door.alarms()))
    assert reason_after_a_while(door, ENTITLED) in ({"fault"} if alarms else {"fault", "banned"})
    if alarms:
        assert reason_after_a_while(door, ALSO_ENTITLED) == "fault"
    assert door.levels() == []
    healed(door, backup)
    assert door.alarms().count("branch_failing") <= 1
    if not runs:
        assert modes(door)[0] == ("closed", "unknown_calendar")
        assert "calendar_unknown_cleared" in door.alarms()


def test_outputs_follow_the_mode(door: Door) -> None:
    """A light's pin is on in its modes, off in the others, and off at the end."""
    door.own_config(OUTPUTS)
    door.configured(*CLOSED).start()
    until(lambda: door.drives(door.pid, ALARM))
    set_mode(door, "self_service")
    until(lambda: door.levels(LIGHT) == [1])
    until(lambda: door.levels(ALARM) == [1, 0])
    set_mode(door, "lockdown")
    until(lambda: door.levels(LIGHT) == [1, 0])
    until(lambda: door.levels(ALARM) == [1, 0, 1])
    pid = door.pid

    assert door.stop() == 0
    assert door.edges(pid, ALARM)[-1].level == 0


LIGHT, ALARM = "GPIO12", "GPIO13"
OUTPUTS = """
[[outputs]]
name = "light"
pin = 12
modes = ["staffed", "self_service"]

[[outputs]]
name = "alarm"
pin = 13
modes = ["closed", "lockdown"]
"""


def test_an_output_that_can_not_be_had_keeps_nobody_out(door: Door) -> None:
    """It is alarmed, and the door opens."""
    door.own_config(OUTPUTS)
    door.busy_pins = LIGHT
    door.start()

    assert reason(door) == "ok"
    assert door.alarms() == ["output_failing"]


SHUT = "[hours]\nmonday = []\n"
EVERYBODY = "[policy]\nrequire_resident = false\n"


@pytest.fixture
def file(door: Door) -> Path:
    """Give the door a file of its own, and start it with a long release."""
    own = door.own_config()
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
    reload(door, file, SHUT, "[policy]\npin_length = 99")

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
