"""Builds the card of the emulated Pi: Debian for arm64, its kernel, the project as on a real one.

What takes long is kept: the system, and the wheels. The project itself is installed afresh each
time, from the checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.install.readme import ROOT, blocks

HERE = Path(__file__).parent

NEEDED = (
    "qemu-system-aarch64",
    "qemu-aarch64-static",
    "debootstrap",
    "fdtput",
    "mke2fs",
    "python3.13",
)
PACKAGES = "qemu-system-arm qemu-user-static debootstrap device-tree-compiler e2fsprogs"

SYSTEM = (
    "systemd,systemd-sysv,systemd-timesyncd,udev,dbus,kmod,iproute2,procps,sqlite3,initramfs-tools,"
    "python3,python3-venv,python3-pip,python3-setuptools,python3-wheel,python3-dev,gcc,libc6-dev,"
    "swig,gpiod,ca-certificates"
)

EARLY_MODULES = ("bcm2835", "bcm2835_dma", "sdhci_iproc", "mmc_block", "ext4")
"""What finds the card; the rest is loaded from it."""

PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
LGPIO = ROOT / "systemd" / "lgpio.lock"

PI_3B = "a02082"
"""The revision that a Pi's firmware writes into the device tree, and gpiozero asks for."""

CARD_SIZE = "2G"
"""A power of two: QEMU's card reader takes no other."""

DONE_OTHERWISE = ("apt ", "python3 -m venv ", "/opt/doorctl/bin/pip ", "PYPI=1 ", "reboot")
"""How those commands of systemd/README.md begin that need a network, or this board's boot."""

LEFT_BEHIND = (
    "root/doorctl",
    "opt/doorctl",
    "etc/doorctl",
    "var/lib/doorctl",
    "var/lib/doorctl-door",
    "etc/sysusers.d",
    "etc/systemd/system.conf.d",
)
"""What the last installation made, and no Debian has."""

OWN_USERS = ("doorctl", "gpio:")
"""How users and groups begin that the last installation made, and no Debian has."""

UNWANTED = (
    "serial-getty@ttyAMA0.service",
    "serial-getty@ttyS1.service",
    "getty@tty1.service",
    "fstrim.timer",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    *(
        f"modprobe@{name}.service"
        for name in ("configfs", "dm_mod", "drm", "efi_pstore", "fuse", "loop")
    ),
)

NUMBER, PIN = "3000001234", "4711"
PERSON = {
    "patronId": 1001,
    "identifiers": [{"identifier": NUMBER, "identifierType": "CARD", "status": "ACTIVE"}],
    "pincode": PIN,
    "resident": True,
    "birthday": "1970-01-02",
}

PLAIN = {
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""The environment inside."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What QEMU is started with."""

    card: Path
    kernel: Path
    initrd: Path
    device_tree: Path


def built(cache: Path, told: Callable[[str], None]) -> Parts:
    """Build what is missing, install the project, and return the parts.

    Args:
        cache: where everything is kept; some 3 GB.
        told: hears what is going on, a line each.

    Raises:
        SystemExit: a tool is missing or this isn't root.
        subprocess.CalledProcessError: a step failed; its output is on the terminal.
    """
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing or os.getuid() != 0:
        raise SystemExit(f"this is for root, with: apt install {PACKAGES}; missing: {missing}")
    cache.mkdir(parents=True, exist_ok=True)
    _run_arm_programs()
    base = cache / "base"
    if not base.exists():
        told("debootstrap: Debian 13 for arm64, about 5 minutes")
        _bootstrap(cache / "base.partial")
        (cache / "base.partial").rename(base)
    parts = Parts(
        cache / "card.img", cache / "vmlinuz", cache / "initrd", cache / "bcm2837-rpi-3-b.dtb"
    )
    if not parts.initrd.exists():
        told("kernel and a small initrd, about 3 minutes")
        _boot_files(base, parts)
    _device_tree(base, parts.device_tree)
    told("wheels for arm64")
    _wheels(cache / "wheels", base)
    told("the project and its units")
    _install(base, cache / "wheels")
    _card(base, parts.card)
    return parts


def _run(*words: str | Path, **environment: str) -> None:
    subprocess.run(list(map(str, words)), check=True, env=os.environ | environment)


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


def _wheels(wheels: Path, base: Path) -> None:
    wheels.mkdir(exist_ok=True)
    pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d")
    python = ("--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:")
    platforms = [f"--platform={one}" for one in (*PLATFORMS, "any")]
    _run(*pip, wheels, *python, *platforms, "-r", ROOT / "requirements.lock")
    if list(wheels.glob("lgpio-*.whl")):
        return
    # There is none for Python 3.13; the one that is built here brings its C library with it.
    room = base / "root"
    _run(*pip, room, "--no-build-isolation", "--no-binary", "lgpio", "-r", LGPIO, PYPI="1")
    (source,) = room.glob("lgpio-*.tar.gz")
    build = "PYPI=1 pip wheel -q --no-deps --no-index --no-build-isolation -w /root /root/"
    _inside(base, "sh", "-c", build + source.name)
    (wheel,) = room.glob("lgpio-*.whl")
    shutil.copy(wheel, wheels)


def _install(base: Path, wheels: Path) -> None:
    """Do what systemd/README.md says, with wheels in place of an index."""
    for old in LEFT_BEHIND:
        shutil.rmtree(base / old, ignore_errors=True)
    (base / "usr/local/bin/doorctl").unlink(missing_ok=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        kept = (base / "etc" / name).read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(line for line in kept if not line.startswith(OWN_USERS))
        (base / "etc" / name).write_text(text, encoding="utf-8")
    _inside(base, "python3", "-m", "venv", "--without-pip", "/opt/doorctl")
    (packages,) = (base / "opt/doorctl/lib").glob("python3.*/site-packages")
    own = wheels.with_name("own")
    shutil.rmtree(own, ignore_errors=True)
    pip = (sys.executable, "-m", "pip")
    _run(*pip, "wheel", "-q", "--no-deps", "-w", own, _checkout(own / "source"))
    target = ("--target", packages, "--no-deps", "--no-index", "--no-compile")
    tags = [f"--platform={one}" for one in ("linux_aarch64", *PLATFORMS, "any")]
    foreign = ("--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:")
    files = [*sorted(wheels.glob("*.whl")), *own.glob("*.whl")]
    _run(*pip, "install", "-q", *target, *tags, *foreign, *files)
    # Debian 13's own Python here is the one there, and many times faster.
    _run("python3.13", "-m", "compileall", "-q", "-s", base, base / "opt/doorctl/lib")
    command = base / "opt/doorctl/bin/doorctl"
    command.write_text(
        "#!/opt/doorctl/bin/python3\nfrom doorctl.cli.app import main\nmain()\n", encoding="utf-8"
    )
    command.chmod(0o755)
    _follow(base)
    _emulated(base)


def _checkout(copy: Path) -> Path:
    """Copy what a wheel is built from, so that building leaves nothing in the checkout."""
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "doorctl", copy / "doorctl", ignore=caches)
    return copy


def _follow(base: Path) -> None:
    """Run the page's own commands, in the order that they stand there."""
    checkout = base / "root/doorctl"
    for folder in ("config", "systemd"):
        shutil.copytree(ROOT / folder, checkout / folder)
    shutil.copy(ROOT / "README.md", checkout)
    (checkout / "FEED.ndjson").write_text(json.dumps(PERSON) + "\n", encoding="utf-8")
    # The host's clock is right; nothing of /run is there once the board boots.
    (base / "run/systemd/timesync").mkdir(parents=True, exist_ok=True)
    (base / "run/systemd/timesync/synchronized").touch()
    page = blocks((ROOT / "systemd/README.md").read_text(encoding="utf-8"))
    commands = [
        command
        for block in page
        if (block.place, block.what) == ("branch", "install")
        for command in block.commands()
    ]
    # In processes of their own, as systemd's tools have to see that this is no running system.
    inside = 'mount -t proc proc "$0/proc"; chroot "$0" sh -ec "cd /root/doorctl; $1"; exit $?'
    for command in commands:
        plain, _, editor = command.partition(" && editor ")
        if not plain.startswith(DONE_OTHERWISE):
            _run("unshare", "--mount", "--pid", "--fork", "sh", "-c", inside, base, plain, **PLAIN)
        if editor:
            shutil.copy(HERE / "doorctl.toml", base / "etc/doorctl")


def _emulated(base: Path) -> None:
    """Add what only this board needs."""
    shutil.copy(HERE / "guest-agent.service", base / "etc/systemd/system")
    shutil.copy(HERE / "guest-agent", base / "usr/local/sbin")
    _inside(base, "systemctl", "enable", "guest-agent")
    # A scenario of its own starts it; it would make each boot minutes longer.
    _inside(base, "systemctl", "disable", "doorctl-web")
    slow = "[Service]\nTimeoutStartSec=15min\n"
    for name in ("doorctl-door", "doorctl-web"):
        more = base / f"etc/systemd/system/{name}.service.d"
        more.mkdir(exist_ok=True)
        (more / "emulated.conf").write_text(slow, encoding="utf-8")
    # They wait for what an emulated board doesn't have, or take minutes for nothing.
    _inside(base, "systemctl", "mask", *UNWANTED)
    _inside(base, "systemctl", "disable", "apt-daily.timer", "apt-daily-upgrade.timer")


def _card(base: Path, card: Path) -> None:
    # A system that looks as if it had just been updated rebuilds its caches for minutes.
    _inside(base, "systemd-machine-id-setup")
    for stamp in ("etc/.updated", "var/.updated"):
        (base / stamp).touch()
    for mounted in ("proc", "sys", "dev/pts"):
        subprocess.run(["umount", "-q", str(base / mounted)], check=False)
    card.unlink(missing_ok=True)
    _run("mke2fs", "-q", "-t", "ext4", "-d", base, card, CARD_SIZE)
