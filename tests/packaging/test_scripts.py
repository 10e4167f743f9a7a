"""What dpkg runs, in a folder in place of the machine, with programs that only say what is asked.

Bug (operations review): on a Debian without a system bus the release that apt had put there was not
taken into use: apt ended with 0, and nobody was told. `policy-rc.d` was not asked.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from doorctl.ops.machine import NOT_BEGUN, upgrade_not_begun

SCRIPTS = Path(__file__).parents[2] / "packaging/debian"
QUIET = ("systemd-sysusers", "systemd-tmpfiles", "systemd-detect-virt", "logger", "udevadm")
SYSTEMCTL = """
case $* in *is-active*) [ -e "$here/runs" ] ;; esac
"""
SYSTEMD_RUN = """
cat "$here/bus" >&2 2>/dev/null && exit 1
[ ! -e "$here/begins" ] || rm "$here/opt/doorctl/upgrade-not-begun"
exit "$(cat "$here/trial")"
"""
NO_BUS = "Failed to connect to system scope bus via local transport: No such file or directory"


@dataclass
class Machine:
    """A machine with release 1 in use, whose dpkg has just unpacked 2, below `root`."""

    root: Path
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in (
            "bin",
            "run/systemd/system",
            "opt/doorctl/package",
            "opt/doorctl/releases/1",
        ):
            (self.root / folder).mkdir(parents=True)
        (self.root / "opt/doorctl/current").symlink_to("releases/1")
        self.write("runs", "begins", trial="0")
        for name in QUIET:
            self._program(name, "")
        self._program("systemctl", SYSTEMCTL)
        self._program("systemd-run", SYSTEMD_RUN)
        self._program("deb-systemd-invoke", "")

    def write(self, *names: str, **texts: str) -> None:
        """Write files that the programs go by."""
        for name, text in {**dict.fromkeys(names, ""), **texts}.items():
            (self.root / name).write_text(text, encoding="utf-8")

    def policy(self, code: int) -> None:
        """Have a policy-rc.d that answers so."""
        (self.root / "usr/sbin").mkdir(parents=True)
        self._program("../usr/sbin/policy-rc.d", f"exit {code}\n")

    def dpkg(self, script: str, *words: str) -> tuple[int, str]:
        """Run a script; return its exit code and what it printed."""
        text = (SCRIPTS / script).read_text(encoding="utf-8").replace("@VERSION@", "2")
        for place in ("/opt/doorctl", "/run/", "/usr/sbin/policy-rc.d", "/usr/lib/systemd"):
            text = text.replace(place, f"{self.root}{place}")
        done = subprocess.run(
            ["/bin/sh", "-c", text, script, *words],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        asked = self.root / "asked"
        self.asked = asked.read_text(encoding="utf-8").splitlines() if asked.exists() else []
        return done.returncode, done.stdout

    @property
    def used(self) -> str:
        """The release that the link names."""
        return (self.root / "opt/doorctl/current").readlink().name

    def not_begun(self) -> str | None:
        """Return what the door raises an alarm about."""
        return upgrade_not_begun(self.root / "opt/doorctl/current")

    def touched(self) -> list[str]:
        """Return what was asked for that starts or stops something, or may."""
        verbs = {"start", "restart", "try-restart", "stop", "--now"}
        asked = [line for line in self.asked if not line.startswith(("policy-rc.d ", "logger "))]
        return [line for line in asked if "systemd-run" in line or verbs & {*line.split()}]

    def _program(self, name: str, does: str) -> None:
        program = self.root / "bin" / name
        says = f'here={self.root}\necho "$(basename $0) $*" >>"$here/asked"\n'
        program.write_text(f"#!/bin/sh\n{says}{does}", encoding="utf-8")
        program.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return one."""
    return Machine(tmp_path)


@pytest.mark.parametrize("trial", ["0", "1"], ids=["stands it", "taken back"])
def test_a_release_that_is_tried_is_no_concern_of_dpkgs(machine: Machine, trial: str) -> None:
    """Whatever comes of it: the program itself says so, and no other package is held up."""
    machine.write(trial=trial)
    code, _ = machine.dpkg("postinst", "configure", "1")

    assert (code, machine.not_begun()) == (0, None)
    assert machine.touched()[-1].startswith("systemd-run ")
    assert sorted(one.name for one in (machine.root / "opt/doorctl/releases").iterdir()) == [
        "1",
        "2",
    ]


def test_one_that_can_not_begin_leaves_the_package_unconfigured(machine: Machine) -> None:
    """So apt ends with an error and dpkg tries again; the door says why as an alarm, until then.

    Whatever dpkg's umask is, the door can read it.
    """
    machine.write(bus=f"{NO_BUS}\n")
    old = os.umask(0o077)
    try:
        code, told = machine.dpkg("postinst", "configure", "1")
    finally:
        os.umask(old)

    sentence = f"release 2 could not be taken into use, 1 runs on: {NO_BUS}"
    assert (code, machine.used, machine.not_begun()) == (1, "1", sentence)
    assert f"doorctl: {sentence}\n" in told
    assert (machine.root / "opt/doorctl" / NOT_BEGUN).stat().st_mode & 0o777 == 0o644
    assert f"logger -t doorctl -p daemon.err {sentence}" in machine.asked

    (machine.root / "bus").unlink()
    assert machine.dpkg("postinst", "configure", "1")[0] == 0
    assert machine.not_begun() is None


def test_where_a_policy_forbids_it_nothing_is_started_or_stopped(machine: Machine) -> None:
    """A door that runs keeps its release, and that is told; dpkg is content: so it was meant."""
    machine.policy(101)
    code, told = machine.dpkg("postinst", "configure", "1")

    assert (code, machine.used) == (0, "1")
    assert "policy-rc.d forbids" in (machine.not_begun() or "")
    assert "policy-rc.d forbids" in told
    assert machine.touched() == []


def test_a_policy_on_a_machine_where_no_door_runs(machine: Machine) -> None:
    """An image that is being made gets the release; Debian's own helper restarts, or does not."""
    machine.policy(101)
    (machine.root / "runs").unlink()
    code, _ = machine.dpkg("postinst", "configure", "1")

    assert (code, machine.used, machine.not_begun()) == (0, "2", None)
    units = "doorctl-web.service doorctl-door.service"
    assert machine.touched() == [f"deb-systemd-invoke try-restart {units}"]


def test_an_upgrade_that_was_cut_short_is_not_ended_against_a_policy(machine: Machine) -> None:
    """To end it starts the door; so nothing is done, and dpkg tries again."""
    machine.policy(101)
    (machine.root / "opt/doorctl/upgrade.json").touch()
    code, _ = machine.dpkg("postinst", "configure", "1")

    assert (code, machine.used, machine.touched()) == (1, "1", [])
    assert "policy-rc.d forbids" in (machine.not_begun() or "")


def test_a_trial_that_hangs_is_ended(machine: Machine) -> None:
    """What web has written may take for ever to be laid out anew, and the door is stopped then."""
    machine.dpkg("postinst", "configure", "1")

    (said,) = (line for line in machine.asked if line.startswith("systemd-run "))
    assert "--property=RuntimeMaxSec=10min" in said.split()


def test_removing_leaves_no_copy_of_a_database(machine: Machine) -> None:
    """An upgrade may have been cut short: what it kept is removed, and keys and data are not."""
    home = machine.root / "opt/doorctl"
    (home / "before-upgrade").mkdir()
    machine.write("opt/doorctl/before-upgrade/visits.db", "opt/doorctl/upgrade.json.damaged")

    assert machine.dpkg("postrm", "remove")[0] == 0
    assert sorted(one.name for one in home.iterdir()) == ["package"]


@pytest.mark.parametrize("language", ["", "-da.UTF-8"])
def test_the_question_of_a_purge_says_that_backups_stay(language: str) -> None:
    """Whoever says yes by mistake has them; whoever closes a branch for good removes them too.

    Bug (second penetration test, S14): "delete" kept /var/backups/doorctl and did not say so.
    """
    template = (SCRIPTS / "templates").read_text(encoding="utf-8")
    _, _, text = template.partition(f"\nDescription{language}: ")
    text, _, _ = text.partition("\nDescription")

    assert "/var/backups/doorctl" not in (SCRIPTS / "postrm").read_text(encoding="utf-8")
    assert "rm -r /var/backups/doorctl" in " ".join(text.split())


def test_removing_stops_by_debians_helper(machine: Machine) -> None:
    """Which asks the policy; what was enabled is disabled in any case."""
    assert machine.dpkg("prerm", "remove")[0] == 0
    assert [line.split()[:2] for line in machine.touched()] == [["deb-systemd-invoke", "stop"]]
    assert any(line.startswith("systemctl --quiet disable ") for line in machine.asked)
