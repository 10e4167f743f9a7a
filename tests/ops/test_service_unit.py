"""The systemd unit holds what the code relies on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from doorctl.controller import TURN_LIMIT_S
from doorctl.devices.serial_line import STOP_S
from doorctl.ops.line_writer import CLOSE_S

UNIT = Path(__file__).parents[2] / "systemd" / "doorctl-door.service"
SETTINGS = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)

WORKER_STOP_S = 10.0
"""As the composition root has it."""

CONTROL_STOP_S = 0.2


def values(name: str) -> list[str]:
    """Return every value of a setting, in order."""
    return [value for key, value in SETTINGS if key == name]


def seconds(name: str) -> float:
    """Return a setting's value in seconds."""
    (value,) = values(name)
    assert value.endswith("s")
    return float(value.removesuffix("s"))


def test_the_key_is_read_where_systemd_puts_it() -> None:
    """The daemon's user can't read root's key: it is told the path of its credential."""
    (start,) = values("ExecStart")
    (credential,) = values("LoadCredential")
    name, _, source = credential.partition(":")

    assert values("User") == ["doorctl"]
    assert f"--set secrets.installation_key_file=${{CREDENTIALS_DIRECTORY}}/{name}" in start
    assert source == "/etc/doorctl/installation.key"


def test_locking_after_a_stop_needs_no_key() -> None:
    """There is no credential for what systemd runs after a stop."""
    (after,) = values("ExecStopPost")

    assert after.endswith("/doorctl relay-off")


def test_the_watchdog_is_fed_in_time() -> None:
    """A loop that works feeds it at least twice before it bites."""
    assert 2 * TURN_LIMIT_S < seconds("WatchdogSec") <= 3 * TURN_LIMIT_S


def test_a_stop_has_the_time_that_it_may_take() -> None:
    """Both lines, the worker, the control socket and the log: systemd waits longer than they."""
    needed = 2 * STOP_S + WORKER_STOP_S + CONTROL_STOP_S + CLOSE_S

    assert seconds("TimeoutStopSec") > needed


def test_the_clock_can_be_asked() -> None:
    """The kernel's NTP flag is read by a call that is allowed after the refusal of its group."""
    filters = values("SystemCallFilter")
    refused = next(at for at, value in enumerate(filters) if "@privileged" in value)
    allowed = next(at for at, value in enumerate(filters) if "clock_adjtime" in value.split())

    assert refused < allowed
    assert values("ProtectClock") == []
    assert values("CapabilityBoundingSet") == [""]


@pytest.mark.parametrize("device", ["gpiochip", "ttyUSB", "ttyACM", "ttyAMA", "ttyS"])
def test_every_kind_of_device_is_allowed(device: str) -> None:
    """Pins, USB lines and both kinds of UART that a Pi has."""
    assert f"char-{device} rw" in values("DeviceAllow")


def test_systemd_understands_it(tmp_path: Path) -> None:
    """Where systemd is there, it finds nothing to complain about."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("this machine has no systemd-analyze")
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/doorctl/bin/doorctl", shutil.which("env") or ""))

    done = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
