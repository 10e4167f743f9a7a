"""Builds what the guest is booted from: a Debian 13 that nobody prepared; for QEMU a disk of it.

Nothing is added to what debootstrap makes but files in apt's cache, of the packages that doorctl
asks for; the disk has a kernel and a service line besides. A base that was prepared once hid an
upgrade that could not begin.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.install.machine import empty_debian, refuse_without
from tests.install.pages import ROOT
from tests.pi.build import PLAIN

NEEDED = {
    "debootstrap": "debootstrap",
    "reprepro": "reprepro",
    "gpg": "gpg",
    "openssl": "openssl",
}
PI = ROOT / "tests" / "pi"
CONTROL = (ROOT / "packaging/debian/control").read_text(encoding="utf-8")
SIZE = "4G"
EARLY_MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""What finds the disk; the rest is loaded from it."""

SERVICE_LINE = "/dev/ttyS1"
PIS_LINE = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_shell-if00-port0"
NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=yes\n"


@dataclass(frozen=True, slots=True)
class Parts:
    """What QEMU is started with."""

    disk: Path
    kernel: Path
    initrd: Path


def bare(cache: Path, told: Callable[[str], None]) -> Path:
    """Make the tree if it is not there, and return it.

    Args:
        cache: where everything is kept; some 3 GB.
        told: hears what is going on, a line each.

    Raises:
        SystemExit: a tool is missing or this isn't root.
    """
    refuse_without(NEEDED)
    cache.mkdir(parents=True, exist_ok=True)
    base = cache / "base"
    if not base.exists():
        told("debootstrap: an empty Debian 13, some minutes")
        empty_debian(base)
        _inside(base, "apt-get update -q")
    # What they ask for changes; a container, which has no network, takes it from here.
    _inside(base, f"apt-get install -qqy --download-only {asked_for(CONTROL)}")
    return base


def built(cache: Path, told: Callable[[str], None]) -> Parts:
    """Build the disk if it is not there, and return the parts; the arguments are `bare`'s."""
    base = bare(cache, told)
    refuse_without({"qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs"})
    parts = Parts(cache / "disk.img", cache / "vmlinuz", cache / "initrd")
    if not parts.disk.exists():
        told("its kernel, and a disk")
        tree, partial = cache / "tree", parts.disk.with_suffix(".partial")
        shutil.rmtree(tree, ignore_errors=True)
        _run("cp", "-a", base, tree)
        _bootable(tree, parts)
        partial.unlink(missing_ok=True)
        _run("mke2fs", "-q", "-t", "ext4", "-d", tree, partial, SIZE)
        shutil.rmtree(tree)
        partial.rename(parts.disk)
    return parts


def asked_for(control: str) -> str:
    """Return what a package's control file depends on or recommends, of each choice the first."""
    lines = re.findall(r"^(?:Depends|Recommends): (.*)$", control, re.MULTILINE)
    choices = [choice for line in lines for choice in line.split(", ")]
    return " ".join(sorted({re.split(r"[ (|]", choice)[0] for choice in choices}))


def _bootable(base: Path, parts: Parts) -> None:
    settings = base / "etc/initramfs-tools"
    (settings / "conf.d").mkdir(parents=True, exist_ok=True)
    (settings / "conf.d/small").write_text("MODULES=list\nCOMPRESS=zstd\n", encoding="utf-8")
    modules = base / "usr/share/initramfs-tools/modules.d/small"
    modules.parent.mkdir(parents=True, exist_ok=True)
    modules.write_text("\n".join(EARLY_MODULES) + "\n", encoding="utf-8")
    shutil.copy("/etc/resolv.conf", base / "etc")
    _inside(base, "apt-get install -qqy linux-image-amd64")
    (kernel,), (initrd,) = base.glob("boot/vmlinuz-*"), base.glob("boot/initrd.img-*")
    shutil.copy(kernel, parts.kernel)
    shutil.copy(initrd, parts.initrd)
    agent = (PI / "guest-agent").read_text(encoding="utf-8").replace(PIS_LINE, SERVICE_LINE)
    (base / "usr/local/sbin/guest-agent").write_text(agent, encoding="utf-8")
    (base / "usr/local/sbin/guest-agent").chmod(0o755)
    shutil.copy(PI / "guest-agent.service", base / "etc/systemd/system")
    (base / "etc/systemd/network/wired.network").write_text(NETWORK, encoding="utf-8")
    # A console that asks for a name would take what the service line is told.
    _inside(base, "systemctl mask serial-getty@ttyS1 serial-getty@ttyS0")
    _inside(base, "systemctl enable guest-agent systemd-networkd")
    (base / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n", encoding="utf-8")
    (base / "etc/hostname").write_text("oest\n", encoding="utf-8")


def _inside(base: Path, command: str) -> None:
    # In processes of their own, as systemd's tools have to see that this is no running system.
    own = 'mount -t proc proc "$0/proc"; chroot "$0" sh -ec "$1"'
    words = ("unshare", "--mount", "--pid", "--fork", "sh", "-ec", own, base, command)
    quiet = PLAIN | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, check=False, env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _run(*words: str | Path) -> None:
    subprocess.run(list(map(str, words)), check=True)
