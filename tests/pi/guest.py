"""The emulated Pi while it runs: its lines, its root shell, its power switch.

Bug (emulated Pi): it was reset at each boot as soon as systemd used the board's watchdog, which
QEMU does not have (the harness's own).

Bug (stranger's review): one scenario of the emulated Pi, run by itself, met a clock that nobody had
set (the harness's own).
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.pi.build import Parts
from tests.pi.monitor import Monitor, Watch

RELAY_PIN = 17

BOOT_S = 420.0
"""A boot takes 1 to 2 minutes; on a machine that is busy with other things, far longer."""

COMMAND_S = 120.0
LOOK_S = 0.02
PLUGGED_S = 60.0
HEARD_S = 3.0
"""Until the door has looked at the clock and knows which hours it is in."""

STALLING = (
    "vc4,v3d,bcm2835_v4l2,bcm2835_codec,bcm2835_isp,bcm2835_mmal_vchiq,vchiq,snd_bcm2835,"
    "bluetooth,btbcm,hci_uart,brcmfmac,brcmutil,cfg80211,rfkill"
)
"""What waits for hardware that the emulator has not."""

BITING = "bcm2835_wdt"
"""The board's watchdog: QEMU resets the board where systemd only begins to use it."""

KERNEL = (
    "console=ttyS1,115200",
    "root=/dev/mmcblk0",
    "rw",
    "rootwait",
    "quiet",
    f"modprobe.blacklist={STALLING},{BITING}",
)

UNIT = "doorctl-door"

USB_DEAD = b"dwc2 3f980000.usb: Not connected"


class Guest:
    """Boot the Pi and do to it what happens to a Pi. One thread.

    `parts`: what it is made of; `directory`: an empty one for its sockets and its console's output;
    `persist`: what the kernel does with an output whose process is gone: keep it or not.
    """

    def __init__(self, parts: Parts, directory: Path, *, persist: bool) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._output_file = (directory / "qemu").open("ab")
        keeps = f"pinctrl_bcm2835.persist_gpio_outputs={'y' if persist else 'n'}"
        self.booted_s = time.monotonic()
        self._qemu = subprocess.Popen(
            _command(parts, directory, keeps),
            stdin=subprocess.DEVNULL,
            stdout=self._output_file,
            stderr=self._output_file,
        )
        until("QEMU's sockets", (directory / "watch").exists, PLUGGED_S)
        # Before the first instruction: nothing that the pin does at boot is missed.
        self.watch = Watch(directory / "watch", RELAY_PIN)
        self.watch.start()
        self._monitor = Monitor(directory / "monitor")
        self.reader = connected(directory / "reader")
        self.keypad = connected(directory / "keypad")
        self._shell = connected(directory / "shell")
        self._monitor.do("cont")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Cut the power."""
        self.cut_power()

    def cut_power(self) -> None:
        """Kill the emulator on the spot; idempotent."""
        self._qemu.kill()
        self._qemu.wait()
        for line in (self.reader, self.keypad, self._shell):
            line.close()
        self._monitor.close()
        self._output_file.close()

    def usb_is_dead(self) -> bool:
        """Tell whether the emulated bus broke down, which it does in some boots, for good."""
        return USB_DEAD in (self._directory / "console").read_bytes()

    def has_pulsed(self) -> bool:
        """Tell whether the relay was on since the power switch."""
        return bool(self.watch.pulses_since(self.booted_s))

    def wait_for_shell(self) -> float:
        """Return the seconds from the power switch to a root shell."""
        self._shell.settimeout(BOOT_S)
        until_mark(self._shell, b"@@ready\n")
        return time.monotonic() - self.booted_s

    def run(self, command: str) -> str:
        """Run a shell command as root, and return what it printed; its exit code is left out."""
        return self.start(command)()

    def start(self, command: str) -> Callable[[], str]:
        """Send a command, and return what waits for its output."""
        self._shell.settimeout(COMMAND_S)
        self._shell.sendall(base64.b64encode(command.encode()) + b"\n")
        return self._output

    def _output(self) -> str:
        text = until_mark(self._shell, b"@@").decode(errors="replace")
        while not until_mark(self._shell, b"\n").strip().isdigit():
            pass
        return text.removesuffix("@@").strip()

    def wait_for_unit(self, unit: str = UNIT, limit_s: float = BOOT_S) -> None:
        """Wait until a unit has said that it is ready."""
        ask = f"systemctl is-active {unit}"
        until(f"{unit} to be active", lambda: self.run(ask) == "active", limit_s, apart_s=0.3)

    def main_pid(self, unit: str = UNIT) -> int:
        """Return the process of a unit, 0 where there is none."""
        return int(self.run(f"systemctl show -P MainPID {unit}") or 0)

    def trust_the_clock(self) -> None:
        """Set the clock by the host's, and say as timesyncd does that it is right."""
        now_s = int(time.time())
        self.run(f"date -u -s @{now_s}; mkdir -p {SYNCHRONISED.parent}; touch {SYNCHRONISED}")
        time.sleep(HEARD_S)

    def decisions(self) -> list[dict[str, Any]]:
        """Return the door's decisions of this boot, oldest first."""
        text = self.run(f"journalctl -b -u {UNIT} -o cat | grep '\"decision\"'")
        found = []
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found


SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


def until(what: str, done: Callable[[], bool], limit_s: float, apart_s: float = LOOK_S) -> float:
    """Look again and again, and return after how many seconds it was so; TimeoutError names it."""
    began_s = time.monotonic()
    while not done():
        if time.monotonic() - began_s > limit_s:
            raise TimeoutError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(apart_s)
    return time.monotonic() - began_s


def connected(path: Path) -> socket.socket:
    """Open one of the emulator's sockets."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(str(path))
    return line


def until_mark(line: socket.socket, mark: bytes) -> bytes:
    """Read up to a mark, which is returned too; ConnectionResetError where the guest is gone."""
    found = bytearray()
    while not found.endswith(mark):
        piece = line.recv(1)
        if not piece:
            raise ConnectionResetError("the guest is gone")
        found += piece
    return bytes(found)


def _command(parts: Parts, directory: Path, keeps: str) -> list[str]:
    board = "qemu-system-aarch64 -M raspi3b -m 1G -smp 4 -accel tcg,thread=multi -S"
    screen = "-display none -nodefaults -vga none"
    ports = ["-device", "usb-hub,port=1"]
    for place, name in enumerate(("reader", "shell"), start=1):
        ports += ["-chardev", f"socket,id={name},path={directory / name},server=on,wait=off"]
        device = f"usb-serial,serial={name},always-plugged=on,chardev={name},port=1.{place}"
        ports += ["-device", device]
    monitors = []
    for name in ("monitor", "watch"):
        monitors += ["-qmp", f"unix:{directory / name},server=on,wait=off"]
    return [
        *board.split(),
        *("-kernel", str(parts.kernel), "-initrd", str(parts.initrd)),
        *("-dtb", str(parts.device_tree)),
        *("-drive", f"file={parts.card},if=sd,format=raw"),
        *("-append", " ".join((*KERNEL, keeps))),
        *screen.split(),
        *("-serial", f"unix:{directory / 'keypad'},server=on,wait=off"),
        *("-serial", f"file:{directory / 'console'}"),
        *monitors,
        *ports,
    ]
