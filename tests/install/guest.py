"""The guest while it runs: its reader and keypad, its root shell, its power switch."""

from __future__ import annotations

import abc
import base64
import contextlib
import json
import shlex
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from tests.install.disk import Parts
from tests.install.machine import Machine
from tests.install.sender import WEB_PORT
from tests.pi.guest import connected, until, until_mark

BOOT_S, COMMAND_S = 900.0, 3600.0
LOOK_S, SOCKETS_S, SETTLED_S = 0.2, 60.0, 300.0
READER, KEYPAD = (
    f"/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_{name}-if00-port0" for name in ("reader", "keypad")
)
PIECE = 60_000
KERNEL = "console=ttyS0 root=/dev/vda rw quiet no_timer_check"
"""The last for a host that is so busy that the kernel would not believe its timer."""
MACHINE = "-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -display none -nodefaults"
DEVICES = "-device virtio-rng-pci -device qemu-xhci"
SYNCHRONISED = "/run/systemd/timesync/synchronized"
"""timesyncd's word for a clock that is right, as the emulated machine's is: it is the host's."""


def pulses(lines: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return when the relay went on, and for how many seconds, oldest first.

    A pulse that has not ended is none; to be switched off while off ends none.

    `lines`: of the door's log, in order.
    """
    found, on_s = [], None
    for line in lines:
        if line.get("event") != "relay":
            continue
        at_s = line["monotonic_ns"] / 1e9
        if line["energised"]:
            on_s = at_s if on_s is None else on_s
        elif on_s is not None:
            found.append((on_s, at_s - on_s))
            on_s = None
    return found


def is_on(lines: list[dict[str, Any]]) -> bool:
    """Tell whether the relay is on after these lines of the door's log."""
    relay = [line["energised"] for line in lines if line.get("event") == "relay"]
    return bool(relay and relay[-1])


def longest_gap_s(times_s: list[float]) -> float:
    """Return the most seconds between a time and the next one; 0 for fewer than two."""
    ordered = sorted(times_s)
    return max((b - a for a, b in pairwise(ordered)), default=0.0)


class Operated(abc.ABC):
    """A machine with a root shell, a reader and a keypad, all in one thread's hands.

    `reader` and `keypad` are the names of its lines; `in_real_time` tells whether its seconds are a
    measure, which an emulated processor's are not.
    """

    reader, keypad = READER, KEYPAD
    in_real_time = False

    @abc.abstractmethod
    def run(self, command: str, limit_s: float = COMMAND_S) -> tuple[int, str]:
        """Run a shell command as root at home; return its exit code and all that it printed."""

    @abc.abstractmethod
    def reboot(self) -> None:
        """Boot again, as ``reboot`` does, on the same lines."""

    @abc.abstractmethod
    def halt(self) -> None:
        """Switch it off, if it is on."""

    @abc.abstractmethod
    def send(self, line: str, text: str) -> None:
        """Send something by the ``reader`` or the ``keypad``; from any thread."""

    def said(self, command: str) -> str:
        """Return what a command printed; RuntimeError with it where its exit code is not 0."""
        code, text = self.run(command)
        if code:
            raise RuntimeError(f"{command}: exit {code}\n{text}")
        return text

    def plug(self) -> None:  # noqa: B027 - the emulated one's are plugged in from the start
        """Plug reader and keypad in."""

    def write(self, path: str, text: str) -> str:
        """Write a file of root's, with its folder; a path counts from root's home."""
        return self.put(path, base64.b64encode(text.encode()).decode())

    def put(self, path: str, packed: str) -> str:
        """Write a file from its base64, in pieces that a command may have."""
        self.said(f"mkdir -p $(dirname {path}) && : >{path}")
        for at in range(0, len(packed), PIECE):
            self.said(f"echo {packed[at : at + PIECE]} | base64 -d >>{path}")
        return ""

    def log(self, unit: str = "doorctl-door") -> list[dict[str, Any]]:
        """Return a unit's lines of this boot, oldest first."""
        found = []
        for line in self.run(f"journalctl -b -o cat -u {unit}")[1].splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def granted_s(self, since_s: float) -> list[float]:
        """Return when somebody was let in, in seconds of the guest's uptime."""
        words = "journalctl -b -o json --output-fields=MESSAGE -u doorctl-door -g granted"
        lines = [json.loads(line) for line in self.run(words)[1].splitlines()]
        times_s = [int(line["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in lines]
        return [time_s for time_s in times_s if time_s > since_s]

    def come(self, card: str, pin: str, between_s: float = 0.3) -> None:
        """Swipe a card and type a PIN; from any thread."""
        self.send("reader", card + "\r")
        time.sleep(between_s)
        self.send("keypad", pin)


class Guest(Operated):
    """A Debian that boots from its own copy of a disk. One thread.

    Args:
        parts: what it is made of; its disk stays as it is.
        directory: for its copy of the disk, made where it is missing, its sockets and its console.
        port: of this machine, by which its web process is reached.
    """

    def __init__(self, parts: Parts, directory: Path, port: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        disk = directory / "disk"
        if not disk.exists():
            subprocess.run(["cp", "--sparse=always", parts.disk, disk], check=True)
        self._lines = {name: directory / name for name in ("shell", "reader", "keypad")}
        for line in self._lines.values():
            line.unlink(missing_ok=True)
        self._qemu = subprocess.Popen([*_command(parts, directory, port)], stdin=subprocess.DEVNULL)
        until("QEMU's sockets", lambda: all(p.exists() for p in self._lines.values()), SOCKETS_S)
        self._open = {name: connected(path) for name, path in self._lines.items()}
        self._shell = self._open["shell"]
        self.wait_for_shell()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Cut the power."""
        self.cut_power()

    def wait_for_shell(self) -> None:
        """Wait for a boot's end, and say as timesyncd does that its clock is right."""
        self._shell.settimeout(BOOT_S)
        until_mark(self._shell, b"@@ready\n")
        self.run(f"mkdir -p {Path(SYNCHRONISED).parent} && touch {SYNCHRONISED}")

    def run(self, command: str, limit_s: float = COMMAND_S) -> tuple[int, str]:
        """Run a shell command as root at home; return its exit code and all that it printed."""
        self._shell.settimeout(limit_s)
        words = f"export HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive; cd; {command}"
        self._shell.sendall(base64.b64encode(words.encode()) + b"\n")
        text = bytearray()
        while True:
            text += until_mark(self._shell, b"\n@@")
            code = until_mark(self._shell, b"\n").strip()
            if code.isdigit():
                return int(code), text.decode(errors="replace").removesuffix("@@").strip()
            text += code + b"\n"

    def send(self, line: str, text: str) -> None:
        """Send something by a line."""
        self._open[line].sendall(text.encode())

    def reboot(self) -> None:
        """Boot again in the same emulator."""
        self.run("systemctl reboot --no-block")
        self.wait_for_shell()

    def halt(self) -> None:
        """Switch it off as ``poweroff`` does, and wait until it is off."""
        if self._qemu.poll() is not None:
            return
        self.run("systemctl poweroff --no-block")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._qemu.wait(SETTLED_S)
        self.cut_power()

    def cut_power(self) -> None:
        """Kill the emulator on the spot; idempotent."""
        self._qemu.kill()
        self._qemu.wait()
        for line in self._open.values():
            line.close()


def _command(parts: Parts, directory: Path, port: int) -> list[str]:
    usb = []
    for name in ("reader", "keypad"):
        usb += ["-chardev", f"socket,id={name},path={directory / name},server=on,wait=off"]
        usb += ["-device", f"usb-serial,serial={name},always-plugged=on,chardev={name}"]
    return [
        *("qemu-system-x86_64", *MACHINE.split(), *DEVICES.split()),
        *("-kernel", str(parts.kernel), "-initrd", str(parts.initrd), "-append", KERNEL),
        *("-drive", f"file={directory / 'disk'},if=virtio,format=raw,cache=unsafe"),
        *("-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:{WEB_PORT}"),
        *("-serial", f"file:{directory / 'console'}"),
        *("-serial", f"unix:{directory / 'shell'},server=on,wait=off"),
        *usb,
    ]


PLUGS = """
import os, pty, sys
os.makedirs("/dev/serial/by-id")
lines = {}
for name, link in (("reader", "usb-CARD_READER-if00-port0"), ("keypad", "usb-KEYPAD-if00-port0")):
    lines[name], end = pty.openpty()
    os.chmod(os.ttyname(end), 0o666)
    os.symlink(os.ttyname(end), "/dev/serial/by-id/" + link)
for line in sys.stdin:
    name, text = line.split()
    os.write(lines[name], text.encode() + b"\\r" * (name == "reader"))
"""
"""What has a reader and a keypad plugged in, and swipes and types what it is told."""

NO_NETWORK = "systemctl mask -q systemd-networkd systemd-networkd-wait-online"


class Contained(Operated):
    """The same Debian booted by ``systemd-nspawn``; for a process in namespaces of its own.

    It has this machine's kernel, no device of its own and no network but a loopback.

    `base`: the tree of the emulated one's disk, which stays as it is; `directory`: an empty one;
    `network`: what ``own_network`` returned.
    """

    reader, keypad = (
        f"/dev/serial/by-id/usb-{name}-if00-port0" for name in ("CARD_READER", "KEYPAD")
    )
    in_real_time = True

    def __init__(self, base: Path, directory: Path, network: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._machine = Machine(directory.name, base, directory, network)
        self._plugs: subprocess.Popen[str] | None = None
        self._machine.run(NO_NETWORK)
        self._machine.boot()

    def run(self, command: str, limit_s: float = COMMAND_S) -> tuple[int, str]:
        """Run a command; the time it may take is the machine's own."""
        _ = limit_s
        code, text = self._machine.run(f"export DEBIAN_FRONTEND=noninteractive; {command}")
        return code, text.strip()

    def reboot(self) -> None:
        """Boot again, and plug in what was plugged in."""
        self._unplug()
        self._machine.reboot()
        self.plug()

    def _unplug(self) -> None:
        # A shutdown would stop it and wait for it, and nobody would make it go on.
        if self._plugs is not None:
            self._plugs.communicate()

    def plug(self) -> None:
        """Plug them in; until then nothing is, and each boot forgets it."""
        self._plugs = self._machine.start("python3 -uc " + shlex.quote(PLUGS))

    def send(self, line: str, text: str) -> None:
        """Send something by a line; they have to be plugged in."""
        if self._plugs is None or self._plugs.stdin is None:
            raise RuntimeError("nothing is plugged in yet")
        self._plugs.stdin.write(f"{line} {text.strip()}\n")
        self._plugs.stdin.flush()

    def halt(self) -> None:
        """Switch it off."""
        self._unplug()
        self._machine.halt()
