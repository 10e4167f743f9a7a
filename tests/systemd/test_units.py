"""What systemd thinks of the units: how exposed each is, and whether it understands them all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))

DROP_INS = re.findall(
    r"^```\n(\[Service\]\n.*?)^```$",
    (SYSTEMD / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)

EXPOSED_TENTHS = {
    "doorctl-door.service": 5,
    "doorctl-web.service": 10,
    "doorctl-alarm@.service": 11,
    "doorctl-backup.service": 25,
    "doorctl-sync.service": 11,
    "doorctl-sync-full.service": 11,
    "doorctl-sync-failed@.service": 11,
    "doorctl-upgrade.service": 21,
}
"""The most that each may be, in tenths of systemd's scale (0 is safe, 100 is all open)."""


def tool(name: str) -> str:
    """Return where a tool is; without it skip, but fail in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have {name}")
        pytest.skip(f"this machine has no {name}")
    return found


def told(*command: str | Path) -> tuple[int, str]:
    """Run a command; return its exit code and all that it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_no_service_is_left_out() -> None:
    """A new one has to say how exposed it may be."""
    assert {one.name for one in SERVICES} == set(EXPOSED_TENTHS)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_no_more_exposed_than_it_must_be(unit: Path) -> None:
    """``systemd-analyze security`` gives at most the figure above."""
    code, text = told(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={EXPOSED_TENTHS[unit.name]}",
        unit,
    )

    assert code == 0, text


def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    """No setting is unknown or malformed, and no dependency is missing."""
    units = [made_whole(tmp_path, unit) for unit in (*SERVICES, *TIMERS)]
    assert told(tool("systemd-analyze"), "verify", *units) == (0, "")


def made_whole(directory: Path, unit: Path) -> Path:
    """Make all units as they would be installed; return the one that is meant."""
    # Units that name each other are verified together.
    for one in (*SERVICES, *TIMERS):
        text = one.read_text(encoding="utf-8")
        text = text.replace("/opt/doorctl/bin/doorctl", tool("env"))
        (directory / one.name.replace("@.", "@web_failed.")).write_text(text, encoding="utf-8")
    return directory / unit.name.replace("@.", "@web_failed.")


@pytest.mark.parametrize("drop_in", DROP_INS)
@pytest.mark.parametrize("name", ["doorctl-door.service", "doorctl-web.service"])
def test_what_the_readme_lays_over_a_unit_is_understood(
    tmp_path: Path, name: str, drop_in: str
) -> None:
    """Whoever copies a drop-in from there has one that works, as it stands."""
    unit = made_whole(tmp_path, SYSTEMD / name)
    laid_over = tmp_path / f"{name}.d" / "override.conf"
    laid_over.parent.mkdir()
    laid_over.write_text(drop_in, encoding="utf-8")

    assert told(tool("systemd-analyze"), "verify", unit) == (0, "")


def test_the_readme_names_a_secret_as_the_unit_does() -> None:
    """Its drop-ins for secrets take lines of the unit's as they are."""
    lines = re.findall("^LoadCredential=.*$", "".join(DROP_INS), re.MULTILINE)
    unit = (SYSTEMD / "doorctl-web.service").read_text(encoding="utf-8")

    assert [line for line in lines if f"# {line}\n" not in unit] == []
    assert len(lines) == 2


def test_web_starts_after_the_door() -> None:
    """Both restarted at once after a new key, web asks a door that is ready which one is in use.

    Bug (the emulated guest): web asked before the door answered, took the register's old key for
    the one in use, and after `doorctl pair finish --replace` every push was refused.
    """
    unit = (SYSTEMD / "doorctl-web.service").read_text(encoding="utf-8")
    (after,) = re.findall(r"^After=(.*)$", unit, re.MULTILINE)

    assert "doorctl-door.service" in after.split()


def test_each_timer_has_its_service() -> None:
    """A timer without one would be silent for ever."""
    assert all(timer.with_suffix(".service") in SERVICES for timer in TIMERS)


def test_users_of_the_units_are_made() -> None:
    """Each user and group that a unit names is a line of a sysusers file, or Debian's own."""
    made = {"dialout"}
    for file in SYSTEMD.glob("*sysusers.conf"):
        made |= set(re.findall(r"^[ug]\s+(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    wanted = set()
    for unit in SERVICES:
        named = r"^(?:User|Group|SupplementaryGroups)=(.*)$"
        for line in re.findall(named, unit.read_text(encoding="utf-8"), re.MULTILINE):
            wanted |= set(line.split())

    assert wanted == made


def test_udev_understands_the_rules() -> None:
    """Each line is a rule; that a group is made by another file is no fault."""
    rules = SYSTEMD / "doorctl.udev.rules"
    _code, text = told(tool("udevadm"), "verify", "--no-summary", rules)
    faults = [line for line in text.splitlines() if "Unknown group 'gpio'" not in line]

    assert [line for line in faults if "rules check failed" not in line] == []


@pytest.mark.parametrize("kind", ["tmpfiles", "sysusers"])
def test_systemd_understands_the_files(tmp_path: Path, kind: str) -> None:
    """Each file is taken by its own tool, in a root directory of the test's own."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0:\n" if name == "group" else "")
    for file in (*SYSTEMD.glob("*sysusers.conf"), *SYSTEMD.glob(f"*{kind}.conf")):
        own = "sysusers" if "sysusers" in file.name else kind
        more = ("--create",) if own == "tmpfiles" else ()
        code, text = told(tool(f"systemd-{own}"), f"--root={tmp_path}", *more, file)

        assert code == 0, text


def test_what_opens_the_screen_is_gone_at_a_boot_and_not_before(tmp_path: Path) -> None:
    """So that no browser begins with the secret of the boot before, while web has made no other."""
    screen = tmp_path / "var" / "lib" / "doorctl" / "screen.html"
    screen.parent.mkdir(parents=True)
    screen.touch()
    rules = SYSTEMD / "doorctl.tmpfiles.conf"
    remove = (tool("systemd-tmpfiles"), f"--root={tmp_path}", "--remove")
    there = [(told(*remove, *boot, rules), screen.exists())[1] for boot in ((), ("--boot",))]

    assert there == [True, False]
