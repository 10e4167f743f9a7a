"""What is wrong with this machine, or missing, on machines laid out in a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.ops import machine
from doorctl.ops.clock import BUILD_FLOOR
from doorctl.ops.machine import (
    LEAST_FREE_BYTES,
    NOT_BEGUN,
    DataDisk,
    disk_low,
    undervoltage,
    upgrade_not_begun,
)


def sensor(hwmon: Path, number: int, name: str, low: str | None) -> None:
    """Make one as the kernel shows it."""
    directory = hwmon / f"hwmon{number}"
    directory.mkdir()
    (directory / "name").write_text(f"{name}\n")
    if low is not None:
        (directory / "in0_lcrit_alarm").write_text(f"{low}\n")


@pytest.mark.parametrize(("low", "told"), [("1", True), ("0", False), (None, False)])
def test_a_supply_that_is_too_weak_is_told(tmp_path: Path, low: str | None, *, told: bool) -> None:
    """By the Pi's own sensor alone; one that can't be read says nothing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")
    sensor(tmp_path, 1, "rpi_volt", low)

    assert (undervoltage(tmp_path) is not None) is told


def test_a_machine_without_that_sensor_says_nothing(tmp_path: Path) -> None:
    """Nor does one whose folder is missing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")

    assert undervoltage(tmp_path) is None
    assert undervoltage(tmp_path / "none") is None


def test_a_disk_is_low_by_what_is_free_on_it(tmp_path: Path) -> None:
    """A file system that is nearly full by itself is told with how much is left."""
    assert disk_low(tmp_path) is None
    with pytest.raises(OSError, match="none"):
        disk_low(tmp_path / "none")
    # The kernel's own small file system: it has no room at all.
    assert LEAST_FREE_BYTES > 0
    assert (disk_low(Path("/proc")) or "").startswith("0 MiB are free where /proc lies")


def test_a_release_that_was_not_tried_is_told_as_the_package_says_it(tmp_path: Path) -> None:
    """Beside the releases; where there are none, as in a checkout, nothing is told."""
    release, link = tmp_path / "releases/1", tmp_path / "current"
    release.mkdir(parents=True)
    link.symlink_to("releases/1")
    assert upgrade_not_begun(release) is None
    (tmp_path / NOT_BEGUN).write_text("release 2: no system bus\n", encoding="utf-8")
    assert upgrade_not_begun(release) == upgrade_not_begun(link) == "release 2: no system bus"
    assert upgrade_not_begun(tmp_path / NOT_BEGUN / "a/b") is None
    assert upgrade_not_begun() is None


def test_the_proof_leaves_nothing(tmp_path: Path) -> None:
    """A thousand self-tests leave no file, and neither does one that was killed half-way."""
    disk = DataDisk(tmp_path)
    assert disk.free_bytes() > 0
    disk.prove_writable()

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_gone_is_our_error(tmp_path: Path) -> None:
    """The self-test makes a finding of it."""
    disk = DataDisk(tmp_path / "missing")
    with pytest.raises(StoreError):
        disk.free_bytes()
    with pytest.raises(StoreError):
        disk.prove_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_is_not_ours_is_our_error(tmp_path: Path) -> None:
    """It can be asked and not written: two findings, of which one fails."""
    tmp_path.chmod(0o500)
    disk = DataDisk(tmp_path)

    assert disk.free_bytes() > 0
    with pytest.raises(StoreError, match="can't be written"):
        disk.prove_writable()


def test_what_can_never_be_written_is_our_error() -> None:
    """Not even root makes a file in ``/proc``."""
    with pytest.raises(StoreError, match="can't be written"):
        DataDisk(Path("/proc")).prove_writable()


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
        machine.swap,
        machine.core_dumps,
        machine.unsigned_time,
        machine.battery_clock,
        machine.watchdog,
    )
    assert [check(good) for check in checks] == [None] * len(checks)
    assert all(check(bad) for check in checks)
    assert "/var/swap" in str(machine.swap(bad))
    assert "zram" not in str(machine.swap(bad))


@pytest.mark.parametrize(
    ("uuid", "safe"), [("CRYPT-LUKS2-0a1b-root", True), ("LVM-0a1b", False), (None, False)]
)
def test_a_disk_is_encrypted_at_any_depth(tmp_path: Path, uuid: str | None, safe: bool) -> None:
    """A volume on an encrypted device is; a bare partition, or one that nobody knows, is not."""
    laid(tmp_path, "sys/dev/block/253:1/dm/uuid", "LVM-top")
    if uuid is not None:
        laid(tmp_path, "sys/dev/block/253:1/slaves/dm-0/dm/uuid", uuid)

    assert (machine.unencrypted("253:1", tmp_path) is None) is safe
    assert machine.unencrypted("0:99", tmp_path) is not None


def test_a_feed_that_was_left(tmp_path: Path) -> None:
    """It is named, so that it can be shredded."""
    assert machine.clear_feeds([tmp_path]) is None
    laid(tmp_path, "patrons.ndjson", "{}")
    assert "patrons.ndjson" in str(machine.clear_feeds([tmp_path]))
