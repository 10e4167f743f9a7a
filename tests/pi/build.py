"""Builds the card of the emulated Pi: Debian for arm64, its kernel, the package as on a real one.

The system is kept and never written to again: each card is a layer over it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.install.packages import built_package
from tests.install.sender import LOADED, row

HERE = Path(__file__).parent

NEEDED = (
    "qemu-system-aarch64",
    "qemu-aarch64-static",
    "debootstrap",
    "fdtput",
    "mke2fs",
    "swig",
    "aarch64-linux-gnu-gcc",
)
PACKAGES = (
    "qemu-system-arm qemu-user-static debootstrap device-tree-compiler e2fsprogs"
    " git python3-venv python3-dev swig gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
)

SYSTEM = "systemd,systemd-sysv,systemd-timesyncd,udev,kmod,iproute2,sqlite3,initramfs-tools"
"""What it boots and is looked at with; what the package needs it has to ask for itself."""

VERSION = "0.0.0~pi"

EARLY_MODULES = ("bcm2835", "bcm2835_dma", "sdhci_iproc", "mmc_block", "ext4")
"""What finds the card; the rest is loaded from it."""

PI_3B = "a02082"
"""The revision that a Pi's firmware writes into the device tree, and gpiozero asks for."""

CARD_SIZE = "2G"
"""A power of two: QEMU's card reader takes no other."""

PLAIN = {
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""The environment inside."""

LAYERED = """\
mount -t tmpfs tmpfs "$0"; cd "$0"; mkdir upper work card
mount -t overlay overlay -o "lowerdir=$1,upperdir=upper,workdir=work" card
mount -t proc proc card/proc
cp "$2" "$3"/install "$3"/answers.toml "$3"/guest-agent* card/root/
printf %s "$4" >card/root/FEED.ndjson
chroot card /root/install
umount card/proc
exec mke2fs -q -t ext4 -d card "$5" "$6"
"""
"""Lays a card over the system, which stays as it is; nothing of a layer is left. In processes of
its own, as systemd's tools have to see that this is no running system."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What QEMU is started with."""

    card: Path
    kernel: Path
    initrd: Path
    device_tree: Path


def built(cache: Path, told: Callable[[str], None]) -> Parts:
    """Build what is missing, install the package of the last commit, and return the parts.

    Args:
        cache: where everything is kept; some 3 GB.
        told: hears what is going on, a line each.

    Raises:
        SystemExit: a tool is missing or this isn't root.
        RuntimeError: the package can't be built; it says why.
        subprocess.CalledProcessError: a step failed; its output is on the terminal.
    """
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing or os.getuid() != 0:
        raise SystemExit(f"this is for root, with: apt install {PACKAGES}; missing: {missing}")
    cache = cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    _run_arm_programs()
    system = cache / "system"
    parts = Parts(
        cache / "card.img", cache / "vmlinuz", cache / "initrd", cache / "bcm2837-rpi-3-b.dtb"
    )
    if not system.exists():
        told("debootstrap: Debian 13 for arm64, its kernel and a small initrd, about 8 minutes")
        partial = cache / "system.partial"
        _bootstrap(partial)
        _boot_files(partial, parts)
        partial.rename(system)
    _device_tree(system, parts.device_tree)
    told("the package of the last commit")
    package = built_package(VERSION, cache / "packages", architecture="arm64")
    told(f"a card with {package.name}")
    _card(system, package, parts.card)
    return parts


def _run(*words: str | Path) -> None:
    subprocess.run(list(map(str, words)), check=True)


def _inside(base: Path, *words: str) -> None:
    subprocess.run(["chroot", str(base), *words], check=True, env=PLAIN)


def _run_arm_programs() -> None:
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "register").exists():
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", formats)
    if not (formats / "qemu-aarch64").exists():
        line = Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_text(encoding="utf-8")
        (formats / "register").write_text(line, encoding="utf-8")


def _bootstrap(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    command = ("debootstrap", "--arch=arm64", "--variant=minbase", f"--include={SYSTEM}")
    _run(*command, "trixie", target, mirror())


def mirror() -> str:
    """Return where this machine's own apt finds Debian."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(one.read_text(encoding="utf-8") for one in sources if one.is_file())
    found = re.search(r"https?://\S*/debian/?(?=\s)", text)
    return found.group() if found else "http://deb.debian.org/debian"


def _boot_files(base: Path, parts: Parts) -> None:
    modules = base / "usr/share/initramfs-tools/modules.d/doorctl"
    modules.write_text("\n".join(EARLY_MODULES) + "\n", encoding="utf-8")
    settings = base / "etc/initramfs-tools/conf.d/doorctl"
    settings.write_text("MODULES=list\nCOMPRESS=gzip\n", encoding="utf-8")
    # Without udev in it, it boots in half the time; the card has no other name than mmcblk0.
    for part in ("hooks/udev", "scripts/init-top/udev", "scripts/init-bottom/udev"):
        (base / "usr/share/initramfs-tools" / part).unlink(missing_ok=True)
    _inside(base, "apt-get", "-qqy", "--no-install-recommends", "install", "linux-image-arm64")
    (kernel,) = (base / "boot").glob("vmlinuz-*")
    release = kernel.name.removeprefix("vmlinuz-")
    _inside(base, "mkinitramfs", "-o", "/boot/initrd.small", release)
    shutil.copy(kernel, parts.kernel)
    shutil.copy(base / "boot/initrd.small", parts.initrd)


def _device_tree(base: Path, target: Path) -> None:
    (tree,) = base.glob(f"usr/lib/linux-image-*/broadcom/{target.name}")
    shutil.copy(tree, target)
    _run("fdtput", "-p", "-t", "x", target, "/system", "linux,revision", PI_3B)
    # The kernel would keep this line for a Bluetooth chip; it becomes the keypad's.
    _run("fdtput", "-r", target, "/soc/serial@7e201000/bluetooth")


def _card(system: Path, package: Path, card: Path) -> None:
    partial = card.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    feed = row(1001, LOADED)
    with tempfile.TemporaryDirectory(prefix="card-", dir=card.parent) as layer:
        own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", LAYERED)
        words = (*own, layer, system, package, HERE, feed, partial, CARD_SIZE)
        subprocess.run(list(map(str, words)), check=True, env=PLAIN)
    partial.rename(card)
