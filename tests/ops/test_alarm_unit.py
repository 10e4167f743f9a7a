"""The units that tell of another one's end hold what the code relies on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from doorctl.core.alarms import KINDS
from doorctl.notices.ways import TOTAL_S

SYSTEMD = Path(__file__).parents[2] / "systemd"
ALARM = (SYSTEMD / "doorctl-alarm@.service").read_text(encoding="utf-8")
SENDERS = ("doorctl-sync.service", "doorctl-sync-full.service")


def after(process: str) -> str:
    """Return what a process's unit has the shell do when it has ended."""
    unit = (SYSTEMD / f"doorctl-{process}.service").read_text(encoding="utf-8")
    found: list[str] = re.findall(r"^ExecStopPost=-\+/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("process", ["web", "door"])
@pytest.mark.parametrize("result", ["success", "exit-code", "watchdog"])
def test_an_end_is_told_unless_it_was_wanted(tmp_path: Path, result: str, process: str) -> None:
    """A shell reads the line as systemd gives it on: a stop on purpose is no alarm."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@"\n')
    systemctl.chmod(0o755)
    alarm = f"start --no-block doorctl-alarm@{process}_failed.service\n"
    started = "" if result == "success" else alarm
    done = subprocess.run(
        ["/bin/sh", "-c", after(process).replace("$$", "$")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SERVICE_RESULT": result},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, started, "")


@pytest.mark.parametrize("process", ["web", "door"])
def test_what_is_sent_is_on_the_list(process: str) -> None:
    """The unit's name says which alarm it is, and the command knows that one."""
    (kind,) = re.findall(r"doorctl-alarm@(\w+)\.service", after(process))

    assert kind in KINDS
    assert "\nExecStart=/opt/doorctl/bin/doorctl alarm send %i\n" in ALARM


def test_what_fails_again_and_again_is_told_once_an_hour() -> None:
    """Web is started again every 5 s; whoever is on duty is not called that often."""
    assert "\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n" in ALARM


@pytest.mark.parametrize("name", SENDERS)
def test_a_senders_failure_is_told(name: str) -> None:
    """Its own unit tells what a run that was killed can't, by the sender's file and user."""
    unit = (SYSTEMD / name).read_text(encoding="utf-8")
    told = (SYSTEMD / "doorctl-sync-failed@.service").read_text(encoding="utf-8")

    assert "\nOnFailure=doorctl-sync-failed@%N.service\n" in unit
    assert "doorctl sync tell-failure --config /etc/doorctl/sync.toml\n" in told
    assert "\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n" in told
    assert "\nUser=doorctl-sync\n" in told


@pytest.mark.parametrize("unit", ["doorctl-alarm@.service", "doorctl-sync-failed@.service"])
def test_both_ways_have_their_time(unit: str) -> None:
    """A mail server that hangs to its limit leaves the webhook its own."""
    text = (SYSTEMD / unit).read_text(encoding="utf-8")
    (minutes,) = re.findall(r"^TimeoutStartSec=(\d+)min$", text, re.MULTILINE)

    assert int(minutes) * 60 > 2 * TOTAL_S
