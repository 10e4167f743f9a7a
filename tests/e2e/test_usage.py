from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doorctl.cli.app import COMMANDS as NAMED
from tests.e2e.door import COMMANDS, Door, redirected

GROUPS = {
    "patrons": ("load", "explain", "unlock"),
    "visits": ("list",),
    "mode": ("set", "end"),
    "calendar": ("except", "clear"),
    "bans": ("add", "change", "list", "lift", "letter"),
    "passes": ("add", "change", "list", "revoke"),
    "alarm": ("send",),
}
ALL = [(name,) for name in NAMED] + [
    (group, name) for group, names in GROUPS.items() for name in names
]

FAR = "2999-01-01"
WHY = ("--reason", "flood")
CLASS = ("--kind", "class", "--to", FAR, "--label", "x")

DOORCTL = (sys.executable, "-m", "doorctl")
ONE_OF_EACH_MODULE = {place.partition(":")[0]: name for name, (place, _) in NAMED.items()}


@pytest.mark.parametrize("name", ONE_OF_EACH_MODULE.values())
def test_a_command_needs_no_import_of_another(name: str) -> None:
    """Each module works in a fresh process, from which all the others here are spared."""
    command = [*DOORCTL, name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain(name, "--help").stdout


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help(words: tuple[str, ...]) -> None:
    """Every command says what it does, without a configuration."""
    done = plain(*words, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: doorctl {' '.join(words)}")
    assert len(done.stdout.splitlines()) > 5


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
        plain(*words, "--config", str(missing)),
        plain(*words, environment={"DOORCTL_CONFIG": str(missing)}),
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


def plain(
    *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run doorctl without a configuration of ours, in a fork that has imported it already."""
    return COMMANDS.run(words, os.environ | (environment or {}))
