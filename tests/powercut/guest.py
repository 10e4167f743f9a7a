"""A small machine whose disk keeps a log: booted, run to its end, and its log returned."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.tracing import CHECKOUT
from tests.powercut.kernel import Kernel
from tests.powercut.packing import files_of, initramfs
from tests.powercut.tools import tool

DISK_BYTES = 24 * 1024 * 1024
LOG_BYTES = 4 * 1024 * 1024 * 1024
"""A hole in a file, but for what is logged."""

BLOCK_BYTES = 4096
JOURNAL_MB = 4
LIMIT_S = 1800.0
DONE = "the work is done"
_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /dev /proc /sys /run /tmp /data
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
for module in {modules}; do /bin/busybox insmod /$module.ko; done
export DM_DISABLE_UDEV=1 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
sectors=$(/bin/busybox blockdev --getsz /dev/vda)
{dmsetup} create logged --table "0 $sectors log-writes /dev/vda /dev/vdb" || exec {off}
/bin/busybox mount -t ext4 /dev/mapper/logged /data || exec {off}
cd {checkout}
{work} && /bin/busybox umount /data && {dmsetup} remove logged && echo {done}
{off}
"""
_OFF = "/bin/busybox poweroff -f"


def make_disk(path: Path) -> None:
    """Make an ext4 file system as a card has it, but for its size.

    `path`: a new file.
    """
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    size = ["-b", str(BLOCK_BYTES), "-J", f"size={JOURNAL_MB}", "-E", options]
    command = [tool("mke2fs"), "-q", "-F", "-t", "ext4", *size, str(path)]
    subprocess.run(command, check=True, capture_output=True)


def run(kernel: Kernel, packed: Path, disk: Path, log: Path) -> None:
    """Boot and wait until it is off again.

    `packed`: what it boots into; `disk`: is written to; `log`: is made, and gets what is written.

    Raises:
        RuntimeError: it did not do its work to the end; the text has its last words.
    """
    with log.open("wb") as file:
        file.truncate(LOG_BYTES)
    options = ["-machine", "pc,accel=tcg", "-m", "768", "-nographic", "-no-reboot", "-nodefaults"]
    options += ["-serial", "stdio", "-append", "console=ttyS0 quiet panic=-1"]
    options += ["-kernel", str(kernel.image), "-initrd", str(packed)]
    for path in (disk, log):
        # The host's cache may keep all of it: the log says what was flushed.
        options += ["-drive", f"file={path},if=virtio,format=raw,cache=unsafe"]
    done = subprocess.run(
        [tool("qemu-system-x86_64"), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
    if DONE not in done.stdout:
        raise RuntimeError(f"the guest failed:\n{done.stdout[-2000:]}{done.stderr[-500:]}")


def worked(kernel: Kernel, work: Path, rounds: int, pragmas: Sequence[str] = ()) -> Path:
    """Do the workload in a guest; leave its disk as ``before`` and return its log.

    `work`: a directory for its files; `pragmas`: flaws, as ``synchronous=OFF``, for every writing
    connection.

    Raises:
        RuntimeError: it does not come to an end.
    """
    module = [sys.executable, "-m", "tests.powercut.workload"]
    seen = files_of([*module, str(work / "rehearsed"), "2"])
    seen |= files_of([tool("dmsetup"), "--version"])
    seen = {path for path in seen if not path.is_relative_to(work)}
    command = [*module, "/data/branch", str(rounds), "logged", *pragmas]
    init = _INIT.format(
        modules=" ".join(path.stem for path in kernel.modules),
        dmsetup=tool("dmsetup"),
        checkout=CHECKOUT,
        work=" ".join(command),
        done=DONE,
        off=_OFF,
    )
    initramfs(work / "guest.cpio", seen, kernel, init)
    make_disk(work / "before")
    shutil.copy2(work / "before", work / "disk")
    run(kernel, work / "guest.cpio", work / "disk", work / "log")
    (work / "disk").unlink()
    return work / "log"
