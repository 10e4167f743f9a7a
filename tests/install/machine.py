"""A machine in a container: an empty Debian, a root shell in it, and its power switch.

Before its first boot a command runs by ``chroot``, in this machine's network; then the tree is
booted by ``systemd-nspawn``, with its own systemd and the real units, in a network of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

from tests.pi.build import mirror
from tests.pi.guest import until

SUITE = "trixie"
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = {"proc": "proc", "sysfs": "sys", "tmpfs": "dev"}
NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
BOOT_S, COMMAND_S, LOOK_S = 120.0, 1800.0, 0.2
HARDENED = "umask 027"
"""Root's on a hardened Debian; each login has it anew."""

CLOCK_IS_RIGHT = (
    "umask 022; mkdir -p /run/systemd/timesync && touch /run/systemd/timesync/synchronized"
)
"""As timesyncd says it: this machine's clock is, and each boot forgets it."""

ANSWER = "y\n"
"""What a person says to apt."""

APART = (
    *("unshare", "--mount", "--pid", "--propagation", "private"),
    *("--fork", "--kill-child", "--mount-proc"),
)
"""With its processes its mounts are gone: what is deleted then is all ours."""


def refuse_without(packages: dict[str, str]) -> None:
    """Raise SystemExit where a program's package is missing, or this isn't root."""
    missing = sorted({packages[name] for name in packages if shutil.which(name) is None})
    if missing or os.getuid() != 0:
        raise SystemExit(f"this is for root, with: apt install {' '.join(missing)}")


def empty_debian(base: Path) -> None:
    """Make what ``debootstrap`` calls a Debian, and nothing besides, where it is not there yet."""
    if base.exists():
        return
    partial = base.with_name(base.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    subprocess.run(["debootstrap", SUITE, partial, mirror()], check=True, stdout=subprocess.DEVNULL)
    partial.rename(base)


def own_network() -> subprocess.Popen[str]:
    """Return a process that holds a network with nothing in it but a loopback that is up."""
    hold = "ip link set lo up && echo up && exec sleep infinity"
    command = ["unshare", "--net", "sh", "-c", hold]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if holder.stdout is None or holder.stdout.readline() != "up\n":
        raise RuntimeError("no network of our own; is this root?")
    return holder


def unified_cgroups() -> None:
    """Show this process the cgroups as systemd 257 wants them, whatever the machine has."""
    subprocess.run(["umount", "-R", CGROUPS], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", CGROUPS], check=True)


class Machine:
    """One empty Debian. One thread; in a mount namespace of its own.

    Args:
        name: the host's.
        base: the empty Debian, which stays as it is.
        directory: for what is written.
        network: what `own_network` returned.
    """

    def __init__(self, name: str, base: Path, directory: Path, network: int) -> None:
        self.name = name
        self.root = directory / name
        self._network = network
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._cgroup = CGROUPS / f"doorctl-{name}-{os.getpid()}"
        layers = [directory / f"{name}.{layer}" for layer in ("upper", "work")]
        for made in (self.root, *layers):
            made.mkdir()
        options = f"lowerdir={base},upperdir={layers[0]},workdir={layers[1]}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
        for kind, where in MOUNTS.items():
            # Nothing that a command does there may reach this machine's own.
            mode = ["-o", "ro"] if kind == "sysfs" else []
            subprocess.run(["mount", "-t", kind, *mode, kind, self.root / where], check=True)
        for node, minor in NODES.items():
            os.mknod(self.root / "dev" / node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            (self.root / "dev" / node).chmod(0o666)
        self._environment = {"HOME": "/root", "PATH": PATHS, "LANG": "C.UTF-8"}
        self.run(CLOCK_IS_RIGHT)

    def run(self, command: str) -> tuple[int, str]:
        """Run one line as root at home; return its exit code and all that it printed."""
        done = subprocess.run(
            [*self._entrance(), "/bin/sh", "-ec", f"{HARDENED}; cd; {command}"],
            input=ANSWER,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
            env=self._environment,
        )
        return done.returncode, done.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        """Begin a command that hears by its input what it is to do; `halt` ends it too."""
        words = [*self._entrance(), "/bin/sh", "-ec", f"exec {command}"]
        return subprocess.Popen(words, stdin=subprocess.PIPE, text=True, env=self._environment)

    def boot(self) -> tuple[int, str]:
        """Boot it; return 0 once systemd says that all units are well, else what it says."""
        for mounted in MOUNTS.values():
            subprocess.run(["umount", self.root / mounted], check=True)
        self._cgroup.mkdir(exist_ok=True)
        return self._power_on()

    def reboot(self) -> tuple[int, str]:
        """Boot it again from inside; return as `boot` does."""
        if self._nspawn is None:
            raise RuntimeError(f"{self.name} is not switched on")
        self.run("systemctl reboot --no-block")
        # Its container ends, as that of a unit which systemd would start again.
        self._nspawn.wait(BOOT_S)
        return self._power_on()

    def _power_on(self) -> tuple[int, str]:
        words = "--register=no --keep-unit --boot --link-journal=no --console=pipe --quiet"
        start = f"echo $$ >{self._cgroup}/cgroup.procs; exec systemd-nspawn {words} -D {self.root}"
        self._nspawn = subprocess.Popen(
            ["nsenter", f"--net=/proc/{self._network}/ns/net", "sh", "-c", start],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._leader = 0
        until(f"{self.name} to boot", self._has_started, BOOT_S, LOOK_S)
        self.run(CLOCK_IS_RIGHT)
        code, text = self.run("systemctl is-system-running --wait")
        return (code, text) if code == 0 else (code, text + self.run("systemctl --failed")[1])

    def halt(self) -> None:
        """Switch it off, if it runs."""
        if self._nspawn is not None:
            self._nspawn.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._nspawn.wait(20)
            self._nspawn.kill()
            self._nspawn.wait()
            self._nspawn = None
            self._empty(self._cgroup)

    def _empty(self, cgroup: Path) -> None:
        for below in cgroup.iterdir():
            if below.is_dir():
                self._empty(below)
        with contextlib.suppress(OSError):
            cgroup.rmdir()

    def _has_started(self) -> bool:
        if self._nspawn is None or self._nspawn.poll() is not None:
            raise RuntimeError(f"{self.name} does not boot")
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        for child in map(int, children):
            bus = Path(f"/proc/{child}/root/run/systemd/private")
            if bus.exists():
                self._leader = child
        return bool(self._leader)

    def _entrance(self) -> list[str]:
        if self._leader:
            return ["nsenter", "-t", str(self._leader), "-a"]
        return ["chroot", str(self.root)]
