"""The systemd unit holds what the code relies on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from doorctl.devices.serial_line import STOP_S
from doorctl.doord.chores import FREED_GRACE_S, KEPT_GRACE_S
from doorctl.doord.controller import TURN_LIMIT_S
from doorctl.ops import process as hardening
from doorctl.ops.clock import BUILD_FLOOR
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


# Web's unit holds a line for each secret that the configuration may name.


WEB = Path(__file__).parents[2] / "systemd" / "doorctl-web.service"


def test_each_secret_has_its_line() -> None:
    """Whoever fills in mail, webhook, library system, sign-in or TLS only takes a ``#`` off.

    Bug (robustness review): web's unit had no lines for the library system's secrets.
    """
    lines = re.findall(
        r"^# LoadCredential=(\S+):/etc/doorctl/(\S+)$", WEB.read_text(), re.MULTILINE
    )

    assert all(name == file for name, file in lines)
    assert {name for name, _ in lines} == {
        "web.key",
        "mail.password",
        "webhook.secret",
        "lms.password",
        "terminal.password",
        "oidc.secret",
    }


# What a machine's own safety lacks, on machines laid out in a directory.


def laid(root: Path, name: str, text: str) -> None:
    """Lay out a file of a machine."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def test_a_machine_that_lacks_everything_and_one_that_lacks_nothing(tmp_path: Path) -> None:
    """Each sentence stands where it is needed, and nowhere else; what can't be read is lacking."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    laid(bad, "proc/swaps", "Filename Type Size\n/var/swap file 99\n/dev/zram0 partition 9")
    laid(good, "proc/swaps", "Filename Type Size\n/dev/zram0 partition 99")
    laid(bad, "proc/sys/kernel/core_pattern", "core")
    laid(good, "proc/sys/kernel/core_pattern", "|/bin/false")
    laid(bad, "etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst # no nts")
    laid(good, "etc/chrony/sources.d/nts.sources", "server nts.netnod.se iburst nts")
    laid(bad, "sys/class/rtc/rtc0/since_epoch", "12")
    laid(good, "sys/class/rtc/rtc0/since_epoch", str(int(BUILD_FLOOR.timestamp()) + 1))
    laid(bad, "sys/class/watchdog/watchdog0/state", "inactive")
    laid(good, "sys/class/watchdog/watchdog0/state", "active")

    checks = (
        hardening.swap,
        hardening.core_dumps,
        hardening.unsigned_time,
        hardening.battery_clock,
        hardening.watchdog,
    )
    assert [check(good) for check in checks] == [None] * len(checks)
    assert all(check(bad) for check in checks)
    assert "/var/swap" in str(hardening.swap(bad))
    assert "zram" not in str(hardening.swap(bad))


@pytest.mark.parametrize(
    ("uuid", "safe"), [("CRYPT-LUKS2-0a1b-root", True), ("LVM-0a1b", False), (None, False)]
)
def test_a_disk_is_encrypted_at_any_depth(tmp_path: Path, uuid: str | None, safe: bool) -> None:
    """A volume on an encrypted device is; a bare partition, or one that nobody knows, is not."""
    laid(tmp_path, "sys/dev/block/253:1/dm/uuid", "LVM-top")
    if uuid is not None:
        laid(tmp_path, "sys/dev/block/253:1/slaves/dm-0/dm/uuid", uuid)

    assert (hardening.unencrypted("253:1", tmp_path) is None) is safe
    assert hardening.unencrypted("0:99", tmp_path) is not None


def test_a_feed_that_was_left(tmp_path: Path) -> None:
    """It is named, so that it can be shredded."""
    assert hardening.clear_feeds([tmp_path]) is None
    laid(tmp_path, "patrons.ndjson", "{}")
    assert "patrons.ndjson" in str(hardening.clear_feeds([tmp_path]))
