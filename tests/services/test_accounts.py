"""Staff accounts as root's commands have them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from doorctl.config import Config
from tests.e2e.door import COMMANDS
from tests.services.branches import initialised


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch."""
    return initialised(tmp_path)


def staff(config: Config, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``doorctl staff`` as root does."""
    path = config.storage.directory / "doorctl.toml"
    path.write_text(
        f"""
        [branch]
        name = "Prøvebiblioteket"
        id = "proeve"
        [storage]
        directory = "{config.storage.directory}"
        [reader]
        port = "/dev/null"
        """,
        encoding="utf-8",
    )
    return COMMANDS.run(["staff", *words, "--config", str(path)], stdin=stdin)


def test_the_first_manager_comes_from_the_command_line(config: Config) -> None:
    """A password by stdin, and never an argument; what is refused is one line and exit code 1."""
    assert "no account" in staff(config, "list").stdout
    short = staff(config, "add", "grethe", "--role", "manager", "--password-stdin", stdin="kort\n")
    assert (short.returncode, short.stdout) == (1, "")
    assert "at least 12" in short.stderr
    silent = staff(config, "add", "grethe", "--role", "manager", stdin="hest batteri klamme\n")
    assert "--password-stdin" in silent.stderr

    words = ("add", "Grethe", "--role", "manager", "--shown", "Vagten", "--password-stdin")
    added = staff(config, *words, stdin="hest batteri klamme\n")

    assert (added.returncode, added.stderr) == (0, "")
    assert "klamme" not in added.stdout
    listed = json.loads(staff(config, "list", "--json").stdout)
    assert listed == [
        {
            "name": "grethe",
            "shown": "Vagten",
            "role": "manager",
            "disabled": False,
            "must_change": False,
            "origin": "local",
            "second_factor": False,
        }
    ]
    last = staff(config, "disable", "grethe")
    assert (last.returncode, last.stderr.count("\n")) == (1, 1)
    assert "last local" in last.stderr
