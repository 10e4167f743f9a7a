"""What a machine's own safety lacks, on machines laid out in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorctl.ops import machine as hardening
from doorctl.ops.clock import BUILD_FLOOR


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
