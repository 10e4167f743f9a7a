"""The command line: what it lists, what it imports, how it fails.

Bug (review tried again by hand): `status` took 0.43 s of a processor, 0.17 of it for a library
that it needed nothing of.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from doorctl.cli.app import COMMANDS as NAMED
from doorctl.cli.app import HEADINGS, app
from doorctl.extras.extra import commands
from tests.e2e.door import COMMANDS, Door, redirected

ROOT = Path(__file__).parents[2]

FAR = "2999-01-01"
WHY = ("--reason", "flood")
CLASS = ("--kind", "class", "--to", FAR, "--label", "x")

DOORCTL = (sys.executable, "-m", "doorctl")
ONE_OF_EACH_MODULE = {place.partition(":")[0]: name for name, (place, _) in NAMED.items()}


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run doorctl as a user does, in a fork that has imported it."""
    return COMMANDS.run(words)


@pytest.mark.parametrize("name", ONE_OF_EACH_MODULE.values())
def test_a_command_needs_no_import_of_another(name: str) -> None:
    """Each module works in a fresh process, from which all the others here are spared."""
    command = [*DOORCTL, name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == call(name, "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("run", "--nonsense"),
        ("run", "too-much"),
        ("patrons", "load"),
        ("patrons", "explain"),
        ("patrons", "explain", "3000001234", "--at", "tomorrow"),
        ("visits", "list", "--since", "yesterday"),
        ("visits", "list", "--since", "0001-01-01T00:00+01:00"),
        ("visits", "list", "--since", "9999-12-31T23:59-12:00"),
        ("patrons", "explain", "3000001234", "--at", "0001-01-01T00:00+02:00"),
        ("patrons", "nonsense"),
        ("open",),
        ("mode", "set", "closed", *WHY),
        ("mode", "set", "closed", *WHY, "--until", "soon"),
        ("mode", "set", "open", *WHY, "--until", "21:00"),
        ("calendar", "except", "tomorrow"),
        ("calendar", "except", FAR, "--staffed", "10-26"),
        ("calendar", "--days", "0"),
        ("bans", "add", *WHY),
        ("bans", "add", "3000001234", "--patron-ref", "1001", *WHY),
        ("bans", "add", "3000001234", *WHY, "--days", "3", "--without-end"),
        ("passes", "add", *CLASS),
        ("passes", "add", "--code", *CLASS, "--own-pin"),
        ("passes", "add", "-", *CLASS, "--kind", "king"),
        ("passes", "add", "-", *CLASS, "--weekdays", "man"),
        ("passes", "add", "-", *CLASS, "--own-pin", "--no-pin"),
        ("audit", "verify", "--anchor", "41:abc"),
        ("purge", "--prove", "--verify", "x"),
        ("statistics", "--json", "--csv"),
        ("statistics", "--since", "2026-03-02", "--until", "2026-03-01"),
        ("statistics", "--since", "2026-13-01"),
        ("statistics", "--since", "2026-03-01T12:00"),
        ("statistics", "--since", "0001-01-01"),
        ("statistics", "--by", "minute"),
    ],
    ids=" ".join,
)
def test_wrong_usage(words: tuple[str, ...], door: Door) -> None:
    """Wrong usage exits 2 before anything is read or changed, and says how it is right."""
    done = door.call(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: doorctl" in done.stderr
    assert not list(door.directory.glob("branch.db*"))


@pytest.mark.parametrize(
    "words",
    [("run",), ("init",), ("status",), ("purge",), ("visits", "list"), ("relay-off",)],
    ids=" ".join,
)
def test_no_configuration(words: tuple[str, ...], tmp_path: Path) -> None:
    """Without its configuration every command fails with one line that names the file."""
    missing = tmp_path / "missing.toml"
    for done in (
        COMMANDS.run((*words, "--config", str(missing))),
        COMMANDS.run(words, os.environ | {"DOORCTL_CONFIG": str(missing)}),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert str(missing) in done.stderr


def test_check_config_run_tells_the_same(door: Door) -> None:
    """A daemon with a wrong configuration does not start and says why as `check-config` does."""
    wrong = ("--set", "door.release_s=0", "--set", "gpio.relay_pin=99")

    said = [door.call(word, *wrong).stderr for word in ("check-config", "run")]

    assert said[0] == said[1]
    assert said[0].count("\n") == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, door: Door) -> None:
    """A command that is started without a stream does its work: it exits as it always does."""
    done = redirected(door.command("status"), closed)

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_nobody_types(door: Door) -> None:
    """Where there is no stdin an empty one is read."""
    done = redirected(door.command("patrons", "explain", "-"), "<&-")

    assert done.returncode == 1
    assert done.stderr == "doorctl: that is no card number and no CPR number\n"


def test_typed_in_no_encoding(door: Door) -> None:
    """Bytes that are no text are no card."""
    done = subprocess.run(
        door.command("patrons", "explain", "-"), input=b"\xff\n", capture_output=True, check=False
    )

    assert done.stderr == b"doorctl: that is no card number and no CPR number\n"


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        (("status", "--json"), ""),
        (("visits", "list"), "1"),
        (("check-config",), ""),
        (("run", "--help"), "1"),
    ],
)
def test_full_output(words: tuple[str, ...], unbuffered: str, door: Door) -> None:
    """An output that takes nothing is one line on stderr and exit 1."""
    done = redirected(door.command(*words), ">/dev/full", PYTHONUNBUFFERED=unbuffered)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("words", [("visits", "list"), ("status",), ("--help",)], ids=" ".join)
def test_nobody_reads(words: tuple[str, ...], door: Door) -> None:
    """A reader that goes away, as ``head`` does, has seen enough: nothing is said about it."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            door.command(*words) if words != ("--help",) else [*DOORCTL, *words],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")


MOCKED = '[reader]\nport = "/dev/null"\n[gpio]\nfactory = "mock"\n'
USED = {
    "check": "rpc.status",
    "status": "store.door_log",
    "mode": "services.hours",
    "relay-off": "devices.pins",
}
"""What a command has imported once it does its work."""


def test_help_lists_the_commands_in_the_tables_order() -> None:
    """Not in the alphabet's: a newcomer reads from the top. What extras bring comes last."""
    answer = call("--help")
    lines = answer.stdout.split("this message and exit.")[1].splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]

    assert answer.returncode == 0
    assert listed == [*NAMED, *commands()]
    headings = [line[:-1] for line in lines if line.endswith(":")]
    assert headings == [*HEADINGS.values(), "Extras"]


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
    ("command", "most"),
    [("status", 15_500), ("check", 14_000), ("mode", 16_000), ("relay-off", 6_700)],
)
def test_a_small_command_imports_little(tmp_path: Path, command: str, most: int) -> None:
    """So many lines of doorctl take 0.25 s of the machine that the limit was measured on.

    Lines and not files: a file that is split in two costs no more.
    """
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
    files = (ROOT.joinpath(*name.split(".")) for name in imported if name.startswith("doorctl."))
    found = [each / "__init__.py" if each.is_dir() else each.with_suffix(".py") for each in files]
    assert sum(each.read_text(encoding="utf-8").count("\n") for each in found) <= most


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
    ours = {name for name in imported.stdout.split() if name.startswith("doorctl.cli.")}
    assert ours == {"doorctl.cli.app", "doorctl.cli.streams"}


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
