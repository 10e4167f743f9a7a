from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from doorctl.admin.setup import flat, plan
from doorctl.config.loading import read_tables
from tests.install.booted import ANSWERS, Steps
from tests.install.disk import asked_for
from tests.install.guest import is_on, longest_gap_s, pulses
from tests.install.packages import FAULT
from tests.install.pages import ROOT
from tests.install.sender import LOADED, Sender, row


def relay(energised: bool, at_s: float) -> dict[str, Any]:
    """Return one line of the door's log."""
    return {"event": "relay", "energised": energised, "monotonic_ns": round(at_s * 1e9)}


def test_a_pulse_lasts_from_on_to_off() -> None:
    """A relay that was switched on again meanwhile has one pulse, one that is still on none."""
    lines = [relay(False, 1.0), relay(True, 2.0), {"event": "ready"}, relay(True, 3.0)]
    lines += [relay(False, 7.5), relay(False, 8.0), relay(True, 9.0)]

    assert pulses(lines) == [(2.0, 5.5)]
    assert is_on(lines)
    assert not is_on(lines[:-1])


@pytest.mark.parametrize(
    ("times_s", "gap_s"), [([], 0.0), ([4.0], 0.0), ([1.0, 6.0, 2.0, 3.5], 2.5)]
)
def test_the_longest_time_between_two_who_came_in(times_s: list[float], gap_s: float) -> None:
    """Whatever the order in which they are listed."""
    assert longest_gap_s(times_s) == gap_s


def test_a_step_that_fails_is_counted_and_the_next_one_is_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each is printed with its seconds and what came of it; a person's steps are numbered."""

    def fails() -> str:
        raise TimeoutError("waited 5 s for a door")

    steps = Steps()
    steps.do("open", fails)
    steps.do("swipe", lambda: "first\nlast", person=True)

    assert (steps.persons, steps.failed) == (1, ["open"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAIL")
    assert first.endswith("open: waited 5 s for a door")
    assert "person 1" in second
    assert second.endswith("swipe: last")


def test_the_answers_are_taken(tmp_path: Path) -> None:
    """What `setup` is told in the guest is asked for, and makes a configuration."""
    file = tmp_path / "answers.toml"
    answers = ANSWERS.format(reader="/dev/a", keypad="/dev/b")
    feed = tmp_path / "feed.ndjson"
    feed.write_text(row(1001, LOADED), encoding="utf-8")
    file.write_text(answers.replace("/root/FEED.ndjson", str(feed)), encoding="utf-8")
    example = (ROOT / "config/doorctl.toml").read_text(encoding="utf-8")

    made = plan(
        flat(read_tables(file)), tmp_path / "doorctl.toml", example, new=True, scripted=True
    )

    assert str(made.config.reader.port) == "/dev/a"


def test_the_sender_makes_its_keys(tmp_path: Path) -> None:
    """What is typed into the example is there to be set, or `doorctl sync init` would refuse."""
    Sender(tmp_path / "sender", 42)

    assert (tmp_path / "sender/signing.key").exists()


def test_what_a_package_asks_for_is_brought() -> None:
    """Versions and second choices are apt's affair; a word of the description is no package."""
    control = "Depends: a (>= 1), a (<< 2), b | c\nRecommends: d | e\nDescription: f, g\n"

    assert asked_for(control) == "a b d"


def test_the_planted_fault_ends_the_door_and_nothing_else() -> None:
    """A version that can't even be asked would be noticed by more than the door."""
    for word, code in (("run", 1), ("check-config", 0)):
        done = subprocess.run(
            ["python3", "-c", FAULT, word], check=False, capture_output=True, text=True
        )
        assert done.returncode == code
