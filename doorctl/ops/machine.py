"""This machine's disk, power supply and own safety: what is wrong or missing, None for nothing.

The checks of `doorctl doctor` look below `root`, so that a test can lay out another machine.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from doorctl.core.errors import StoreError
from doorctl.ops.clock import TimeSources, text_of

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""Room to load a register of 100 000 beside the old register, and for a purge."""

HWMON = Path("/sys/class/hwmon")


def disk_low(directory: Path) -> str | None:
    """Return how little room the disk of `directory` has; None where it is enough. OSError."""
    free = shutil.disk_usage(directory).free
    if free >= LEAST_FREE_BYTES:
        return None
    return f"{free // 1_048_576} MiB are free where {directory} lies"


def undervoltage(hwmon: Path = HWMON) -> str | None:
    """Return that a Raspberry Pi's supply is too weak; None where it isn't, or on other machines.

    The kernel's driver ``rpi_volt`` sets ``in0_lcrit_alarm`` below 4.63 V.
    """
    for name in hwmon.glob("*/name"):
        if text_of(name) == "rpi_volt":
            low = text_of(name.parent / "in0_lcrit_alarm") == "1"
            return "the supply falls below 4.63 V" if low else None
    return None


PROBE = bytes(4096)
"""One page, as much as SQLite's smallest write."""


class DataDisk:
    """The disk of the databases' directory. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def free_bytes(self) -> int:
        """Return the free bytes without the part that ext4 keeps for root."""
        try:
            return shutil.disk_usage(self._directory).free
        except OSError as err:
            raise StoreError(f"{self._directory} can't be asked: {err.strerror}") from err

    def prove_writable(self) -> None:
        """Write a page to a file without a name and wait until the medium has it.

        A file without a name (Linux's ``O_TMPFILE``) is gone whenever the process is.
        """
        try:
            with tempfile.TemporaryFile(dir=self._directory, buffering=0) as probe:
                probe.write(PROBE)
                os.fsync(probe.fileno())
        except OSError as err:
            raise StoreError(f"{self._directory} can't be written: {err.strerror}") from err


NOT_BEGUN = "upgrade-not-begun"
"""The file beside ``releases`` in which the package says which release was not tried, and why."""


def upgrade_not_begun(release: Path = Path(sys.prefix)) -> str | None:
    """Return which release of the package's was not even tried, and why; None where none was not.

    `release` is the one that runs, or the link to it. OSError: the file can't be read.
    """
    try:
        return (release.resolve().parents[1] / NOT_BEGUN).read_text("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


ROOT = Path("/")
FEEDS = ("*.ndjson", "*.csv")


def device_of(directory: Path) -> str:
    """Return the number of the device that a directory lies on, as ``/sys/dev/block`` names it."""
    number = directory.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def unencrypted(device: str, root: Path = ROOT) -> str | None:
    """Look for dm-crypt below a device, at any depth."""
    if _encrypted(root / "sys/dev/block" / device):
        return None
    return "The disk is not encrypted: a thief who takes it has the key and the register."


def _encrypted(device: Path) -> bool:
    return text_of(device / "dm/uuid").startswith("CRYPT-") or any(
        map(_encrypted, device.glob("slaves/*"))
    )


def core_dumps(root: Path = ROOT) -> str | None:
    """Check where the memory of a crashed process is stored."""
    if text_of(root / "proc/sys/kernel/core_pattern") in {"", "|/bin/false"}:
        return None
    return "A command that crashes may leave its memory on the disk; the units leave none."


def swap(root: Path = ROOT) -> str | None:
    """Check whether memory is written to a disk; zram stays in memory."""
    used = [line.split()[0] for line in text_of(root / "proc/swaps").splitlines()[1:]]
    disks = [name for name in used if not name.startswith("/dev/zram")]
    return f"Memory may be swapped to {', '.join(disks)}." if disks else None


def clear_feeds(directories: Iterable[Path]) -> str | None:
    """Look for exports of patrons in the places where they are loaded from."""
    feeds = {path for place in directories for name in FEEDS for path in place.glob(name)}
    if not feeds:
        return None
    names = ", ".join(repr(str(path)) for path in sorted(feeds))
    return f"CPR numbers and PINs may stand in clear in {names}."


def unsigned_time(root: Path = ROOT) -> str | None:
    """Look for a server with NTS in chrony's configuration."""
    texts = map(text_of, (root / "etc/chrony").rglob("*.*"))
    if any(" nts" in line.partition("#")[0] for text in texts for line in text.splitlines()):
        return None
    return "The time is taken unsigned: any machine that answers on the network can set it."


def battery_clock(root: Path = ROOT) -> str | None:
    """Check the battery clock; without a battery it says a time before there was a doorctl."""
    if any(TimeSources(rtc=rtc).battery() for rtc in (root / "sys/class/rtc").glob("*")):
        return None
    return "No battery clock keeps the time while the power is off."


def watchdog(root: Path = ROOT) -> str | None:
    """Check whether the board's own watchdog is fed."""
    states = (root / "sys/class/watchdog").glob("*/state")
    if any(text_of(path) == "active" for path in states):
        return None
    return "No watchdog resets this machine when it hangs."
