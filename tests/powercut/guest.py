"""A small machine whose disk keeps a log: booted, run to its end, and its log returned."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.tracing import CHECKOUT, steady

# The programs of Debian that are needed, wherever they are.

TOOLS = (
    *("qemu-system-x86_64", "mke2fs", "e2fsck", "debugfs"),
    *("dmsetup", "busybox", "cpio", "strace", "apt-get", "dpkg-deb"),
)
"""Of the packages qemu-system-x86, e2fsprogs, dmsetup, busybox-static, cpio and strace."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Some are for root alone, and in nobody else's path."""


def missing() -> list[str]:
    """Return the tools that are not installed."""
    return [name for name in TOOLS if shutil.which(name, path=_PATH) is None]


def tool(name: str) -> str:
    """Return where a tool is.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


# Debian's kernel for virtual machines, fetched once, and the modules that are needed of it.

PACKAGE = "linux-image-cloud-amd64"
"""35 MB; the general one has 108 MB and nothing that is needed here."""

MODULES = ("virtio_blk", "dm-mod", "dm-log-writes")
"""In the order in which they are loaded; ext4 is built in."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What boots.

    `modules`: uncompressed, in the order of :data:`MODULES`.
    """

    image: Path
    modules: tuple[Path, ...]


def fetched(cache: Path) -> Kernel:
    """Return the kernel, downloaded from Debian's archive if it is not in the cache.

    Args:
        cache: a directory of ours; made if it is missing.

    Raises:
        RuntimeError: there is none to be had; the text says why.
    """
    kernel = Kernel(cache / "vmlinuz", tuple(cache / f"{name}.ko" for name in MODULES))
    if not all(path.exists() for path in (kernel.image, *kernel.modules)):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            _unpack(Path(work), kernel)
    return kernel


def _unpack(work: Path, kernel: Kernel) -> None:
    # The package itself depends on the one of the current version.
    depends = _said(["apt-cache", "depends", PACKAGE], work)
    found = re.search(r"linux-image-[0-9]\S*", depends)
    if found is None:
        raise RuntimeError(f"apt knows no {PACKAGE}; run apt-get update")
    _said(["apt-get", "download", "-q", found[0]], work)
    (package,) = work.glob("*.deb")
    _said(["dpkg-deb", "-x", str(package), "tree"], work)
    tree = work / "tree"
    for module, name in zip(kernel.modules, MODULES, strict=True):
        (packed,) = tree.rglob(f"{name}.ko.xz")
        module.write_bytes(lzma.decompress(packed.read_bytes()))
    (image,) = tree.glob("boot/vmlinuz-*")
    image.rename(kernel.image)


def _said(command: list[str], work: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


# A file system in memory for a guest: the host's files that a program looks at, and no others.

LOADER = Path("/lib64/ld-linux-x86-64.so.2")
"""The kernel opens it itself for every program, so no trace names it."""

_FILE_CALLS = re.compile(r'^\d+ +\w+\((?:[^"(]*)"(?P<path>/[^"]*)".* = (?P<result>-?\d+)')
_NO_FILES = frozenset({("proc",), ("sys",), ("dev",)})


def files_of(command: Sequence[str]) -> set[Path]:
    """Run a command and return every file, link and directory of the host that it looked at."""
    with tempfile.TemporaryDirectory(prefix="doorctl-files-") as work:
        trace = Path(work) / "trace"
        watch = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", str(trace)]
        done = subprocess.run(
            [*watch, "--", *command], capture_output=True, check=False, cwd=CHECKOUT, env=steady()
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')}")
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    named = (_FILE_CALLS.match(line) for line in lines)
    return {Path(found["path"]) for found in named if found and int(found["result"]) >= 0}


def initramfs(into: Path, seen: Iterable[Path], kernel: Kernel, init: str) -> None:
    """Pack files of the host, at their own places, and what boots them.

    Args:
        into: the file that is made.
        seen: files, links and directories; what the kernel itself shows as files is left out.
        kernel: whose modules go with it.
        init: the first process's script.
    """
    with tempfile.TemporaryDirectory(prefix="doorctl-guest-") as name:
        tree = Path(name)
        for path in seen:
            _take_over(path, tree)
        for module in kernel.modules:
            shutil.copy2(module, tree)
        _take_over(LOADER, tree)
        (tree / "bin").mkdir(exist_ok=True)
        shutil.copy2(tool("busybox"), tree / "bin" / "busybox")
        (tree / "init").write_text(init, encoding="utf-8")
        (tree / "init").chmod(0o755)
        listed = subprocess.run(["find", "."], capture_output=True, check=True, cwd=tree).stdout
        with into.open("wb") as packed:
            subprocess.run(
                [tool("cpio"), "-o", "-H", "newc", "--quiet"],
                input=listed,
                stdout=packed,
                check=True,
                cwd=tree,
            )


def _take_over(path: Path, tree: Path) -> None:
    if path.parts[1:2] in _NO_FILES:
        return
    for parent in [*reversed(path.parents), path]:
        copy = tree / parent.relative_to("/")
        if copy.is_symlink() or copy.exists() or not (parent.is_symlink() or parent.exists()):
            continue
        if parent.is_symlink():
            copy.symlink_to(parent.readlink())
            _take_over(parent.parent.resolve() / parent.readlink(), tree)
        elif parent.is_dir():
            copy.mkdir()
        elif parent.is_file():
            shutil.copy2(parent, copy)


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
