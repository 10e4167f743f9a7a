"""What this machine's own safety lacks: a sentence each, None where all is well.

Each looks below `root`, so that a test can lay out another machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from doorctl.ops.clock import BUILD_FLOOR

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
    return "The disk is not encrypted: whoever takes it has the key and the register."


def _encrypted(device: Path) -> bool:
    return _text(device / "dm/uuid").startswith("CRYPT-") or any(
        map(_encrypted, device.glob("slaves/*"))
    )


def core_dumps(root: Path = ROOT) -> str | None:
    """Ask where the memory of a process goes that crashes."""
    if _text(root / "proc/sys/kernel/core_pattern") in {"", "|/bin/false"}:
        return None
    return "A command that crashes may leave its memory on the disk; the units leave none."


def swap(root: Path = ROOT) -> str | None:
    """Ask whether memory is written to a disk; zram stays in memory."""
    used = [line.split()[0] for line in _text(root / "proc/swaps").splitlines()[1:]]
    disks = [name for name in used if not name.startswith("/dev/zram")]
    return f"Memory may be swapped to {', '.join(disks)}." if disks else None


def clear_feeds(directories: Iterable[Path]) -> str | None:
    """Look for exports of patrons in the places where they are loaded from."""
    found = {path for place in directories for name in FEEDS for path in place.glob(name)}
    if not found:
        return None
    names = ", ".join(repr(str(path)) for path in sorted(found))
    return f"CPR numbers and PINs may stand in clear in {names}."


def unsigned_time(root: Path = ROOT) -> str | None:
    """Look for a server with NTS in chrony's configuration."""
    files = (root / "etc/chrony").rglob("*.*")
    if any(" nts" in line.partition("#")[0] for one in files for line in _text(one).splitlines()):
        return None
    return "The time is taken unsigned: whoever answers on the network sets it."


def battery_clock(root: Path = ROOT) -> str | None:
    """Ask a battery clock; one without a battery has forgotten when doorctl was built."""
    told = (_text(path) for path in (root / "sys/class/rtc").glob("*/since_epoch"))
    if any(text.isdigit() and int(text) > BUILD_FLOOR.timestamp() for text in told):
        return None
    return "No battery clock keeps the time while the power is off."


def watchdog(root: Path = ROOT) -> str | None:
    """Ask whether anybody feeds the board's own watchdog."""
    states = (root / "sys/class/watchdog").glob("*/state")
    if any(_text(path) == "active" for path in states):
        return None
    return "No watchdog resets this machine when it hangs."


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip()
    return ""
