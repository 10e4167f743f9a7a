"""The systemd unit holds what the code relies on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from doorctl.devices.serial_line import STOP_S
from doorctl.doord.controller import TURN_LIMIT_S
from doorctl.doord.watchdog import FREED_GRACE_S, KEPT_GRACE_S
from doorctl.ops.logs import CLOSE_S

UNIT = Path(__file__).parents[2] / "systemd" / "doorctl-door.service"
SETTINGS = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)

LOCKING_S = 0.55
"""What killing and `ExecStopPost=` may take; an emulated Pi needs more now and then (tests/pi)."""

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

    assert values("User") == ["doorctl-door"]
    assert f"--set secrets.installation_key_file=${{CREDENTIALS_DIRECTORY}}/{name}" in start
    assert source == "/etc/doorctl/installation.key"


def after_a_stop(directory: Path, word: str | None, *, gpioset: int) -> list[str]:
    """Run what systemd runs after a stop, with programs that only say what they were asked.

    Args:
        directory: an empty one.
        word: what the daemon left; None for nothing.
        gpioset: its exit code.
    """
    line, _alarm = values("ExecStopPost")
    script = line.partition("/bin/sh -c '")[2].removesuffix("'").replace("$$", "$")
    for name, code in (("gpioset", gpioset), ("doorctl", 0)):
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $@"\nexit {code}\n')
        program.chmod(0o755)
    if word is not None:
        (directory / "relay").write_text(word)
    script = script.replace("/run/doorctl/", f"{directory}/")
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("/opt/doorctl/bin/", f"{directory}/")],
        env={"PATH": f"{directory}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_locking_after_a_stop_needs_no_python(tmp_path: Path) -> None:
    """With the daemon's word a small program of Debian's switches the relay off, and no other."""
    asked = after_a_stop(tmp_path, "/dev/gpiochip0 17 0\n", gpioset=0)

    assert asked == ["gpioset -t 0 -c /dev/gpiochip0 17=0"]


@pytest.mark.parametrize(("word", "gpioset"), [(None, 0), ("", 0), ("/dev/gpiochip0 17 0\n", 1)])
def test_locking_falls_back_to_our_own_command(
    tmp_path: Path, word: str | None, gpioset: int
) -> None:
    """No word, half a word, or no such program: Python does it, by the configuration."""
    assert after_a_stop(tmp_path, word, gpioset=gpioset)[-1] == "doorctl relay-off"


def test_locking_is_no_business_of_roots() -> None:
    """Outside the unit's rooms for speed, but as the daemon's user and with the pins' group."""
    line, _alarm = values("ExecStopPost")

    assert line.startswith(
        "+/usr/bin/setpriv --reuid doorctl-door --regid doorctl --groups gpio --no-new-privs "
    )
    assert "gpio" in values("SupplementaryGroups")[0].split()


def test_a_frozen_process_is_killed_too() -> None:
    """A frozen cgroup takes no other signal, and a traceback is not worth an open door."""
    assert values("WatchdogSignal") == ["SIGKILL"]


def test_the_watchdog_is_fed_in_time() -> None:
    """A loop that works feeds it many times before it bites: a healthy door is not killed."""
    assert 5 * TURN_LIMIT_S < seconds("WatchdogSec") <= 10 * TURN_LIMIT_S


def test_a_loop_that_stops_before_it_locks_leaves_time_to_lock() -> None:
    """A release may be a second overdue; where the pin is kept, systemd still has to lock in it."""
    assert KEPT_GRACE_S + LOCKING_S <= 1.0
    assert FREED_GRACE_S < 1.0


def test_a_stop_has_the_time_that_it_may_take() -> None:
    """Both lines, the worker, the control socket and the log: systemd waits longer than they."""
    needed = 2 * STOP_S + WORKER_STOP_S + CONTROL_STOP_S + CLOSE_S

    assert seconds("TimeoutStopSec") > needed


def test_the_clock_can_neither_be_set_nor_asked() -> None:
    """Others vouch, such as timesyncd by its file; a refused question is answered, not fatal."""
    assert values("ProtectClock") == ["yes"]
    assert values("SystemCallErrorNumber") == ["EPERM"]
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
