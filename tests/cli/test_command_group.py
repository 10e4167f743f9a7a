"""The command line's front door: what it lists, what it imports, how it fails.

Bug (review tried again by hand): `status` took 0.43 s of a processor, 0.17 of it for a library
that it needed nothing of.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from doorctl.cli.app import COMMANDS as NAMED
from doorctl.cli.app import HEADINGS, app
from tests.e2e.door import COMMANDS

MOCKED = '[reader]\nport = "/dev/null"\n[gpio]\nfactory = "mock"\n'
USED = {
    "check": "rpc.control",
    "status": "store.door_log",
    "mode": "services.hours",
    "relay-off": "devices.pins",
}
"""What a command has imported once it does its work."""


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run doorctl as a user does, in a fork that has imported it."""
    return COMMANDS.run(words)


def test_help_lists_the_commands_in_the_tables_order() -> None:
    """Not in the alphabet's: a newcomer reads from the top."""
    answer = call("--help")
    lines = answer.stdout.split("this message and exit.")[1].splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]

    assert answer.returncode == 0
    assert listed == list(NAMED)
    assert [line[:-1] for line in lines if line.endswith(":")] == list(HEADINGS.values())


def test_a_command_that_does_not_exist_is_wrong_usage() -> None:
    """Exit code 2, and nothing on stdout."""
    answer = call("open-sesame")

    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "No such command" in answer.stderr
    assert "mean" not in answer.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("statuss", "status"), ("ban", "bans"), ("patrons exlain", "explain")],  # codespell:ignore
)
def test_a_slip_of_the_pen_names_the_command_that_was_meant(typed: str, meant: str) -> None:
    """Of the program and of each group."""
    assert f"'{meant}'" in call(*typed.split()).stderr.partition("Did you mean ")[2]


def test_a_plugin_does_not_know_without_its_file() -> None:
    """Exit code 3 and a line on stdout, where monitoring systems read it."""
    answer = call("check", "--config", "/nowhere/doorctl.toml")

    assert (answer.returncode, answer.stderr) == (3, "")
    assert answer.stdout.startswith("DOORCTL UNKNOWN - ")
    assert "/nowhere/doorctl.toml" in answer.stdout


def test_every_problem_of_a_file_is_a_line_of_its_own(tmp_path: Path) -> None:
    """With the file's name, so that an editor can jump there, and exit code 1."""
    wrong = tmp_path / "doorctl.toml"
    wrong.write_text("[door]\nrelease_s = 0\n", encoding="utf-8")
    answer = call("status", "--config", str(wrong))
    lines = answer.stderr.splitlines()

    assert answer.returncode == 1
    assert len(lines) > 1
    assert all(line.startswith(f"{wrong}: ") for line in lines)


@pytest.mark.parametrize(
    ("command", "most"), [("status", 60), ("check", 60), ("mode", 55), ("relay-off", 25)]
)
def test_a_small_command_imports_little(tmp_path: Path, command: str, most: int) -> None:
    """So many modules of ours take 0.25 s of the machine that the limit was measured on."""
    needless = {
        "asyncio",
        "sqlite_utils",
        "doorctl.access.panel",
        "doorctl.store.branch_writer",
        "doorctl.store.patrons_writer",
        "doorctl.store.visits",
    }
    file = tmp_path / "doorctl.toml"
    file.write_text(f'[branch]\nname = "Øst"\nid = "oest"\n{MOCKED}', encoding="utf-8")
    where = ["--config", str(file), "--set", f"storage.directory={tmp_path}"]
    run = [sys.executable, "-X", "importtime", "-m", "doorctl", command, *where]
    lines = subprocess.run(run, capture_output=True, text=True, check=False).stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time")}

    assert f"doorctl.{USED[command]}" in imported
    assert not needless & imported
    assert sum(name.startswith("doorctl.") for name in imported) <= most


def test_help_imports_no_command() -> None:
    """On a small Pi all of them take 15 seconds; whoever forgot a name shall not wait for that.

    Bug (outside look): `doorctl --help` imported every command: 15 s on a Pi 3.
    """
    script = (
        "import sys; from doorctl.cli.app import app;"
        "app(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    imported = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    heavy = {"gpiozero", "serial", "apscheduler", "argon2", "structlog", "sqlite_utils"}
    assert not heavy & set(imported.stdout.split())
    ours = {name for name in imported.stdout.split() if name.startswith("doorctl.")}
    rooms = {"doorctl.cli", "doorctl.core"}
    assert ours <= rooms | {"doorctl.cli.app", "doorctl.core.errors"}


def _groups(group: click.Group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Group]:
    found = {path: group} if path else {}
    for name in group.list_commands(click.Context(group)):
        if isinstance(one := group.get_command(click.Context(group), name), click.Group):
            found |= _groups(one, (*path, name))
    return found


@pytest.mark.parametrize("words", _groups(app), ids=" ".join)
def test_each_line_of_a_groups_help_is_shown_whole(words: tuple[str, ...]) -> None:
    """In a terminal of 80 columns no summary ends in the middle of its sentence.

    Bug (review of the pages): most lines of the groups' help were cut ("…and let...").
    """
    _, listed = call(*words, "--help").stdout.split("\nCommands:\n")

    assert [line for line in listed.splitlines() if line.endswith("...") or len(line) > 80] == []


def test_each_commands_line_is_shown_whole() -> None:
    """In a terminal of 80 columns no line is cut or broken."""
    width = max(map(len, NAMED))
    lines = [f"  {name:{width}}  {line}" for name, (_, line) in NAMED.items()]

    assert max(map(len, lines)) < 80
    assert set(lines) <= set(call("--help").stdout.splitlines())
