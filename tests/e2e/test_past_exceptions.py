"""Dated hours that are past: told to whoever checks the file, and to nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from doorctl.config import load
from tests.e2e.door import COMMANDS

BASE = """
[branch]
name = "x"
id = "x"
[storage]
directory = "."
[reader]
port = "/dev/x"
[keypad]
port = "/dev/y"
[gpio]
factory = "mock"
relay_pin = 17
[hours]
monday = ["08:00-20:00"]
"""


def exception(day: str) -> str:
    """Return one date's own hours."""
    return f"[[hours.exceptions]]\ndate = {day}\n"


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """Check a configuration."""
    done = COMMANDS.run(("check-config", str(path)), os.environ, "")
    assert done is not None
    return done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the configuration is."""
    return tmp_path / "doorctl.toml"


def test_each_exception_that_is_past_is_one_line(path: Path) -> None:
    """With file, key, what was found and what to do; those to come are none; exit 1."""
    path.write_text(
        BASE + exception("2025-12-24") + exception("2199-12-24") + exception("2025-12-31")
    )

    done = check(path)

    assert (done.returncode, done.stdout) == (1, "")
    advice = "which is past; take the exception out or correct the year"
    assert done.stderr.splitlines() == [
        f"{path}: hours.exceptions[0].date: found 2025-12-24, {advice}",
        f"{path}: hours.exceptions[2].date: found 2025-12-31, {advice}",
    ]


def test_exceptions_to_come_are_good(path: Path) -> None:
    """A date in the future is what they are for."""
    path.write_text(BASE + exception("2199-12-24"))

    done = check(path)

    assert (done.returncode, done.stderr) == (0, "")


def test_no_process_refuses_to_start_for_them(path: Path) -> None:
    """All others load the same file without a word: Christmas being over stops no door."""
    path.write_text(BASE + exception("2025-12-24"))

    assert load(path, (), {}).opening.exceptions
