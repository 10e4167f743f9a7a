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
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from tests.pi.build import Parts
from tests.pi.keyboards import SCREENS, Keyboard, strokes
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

CONFIG = "/etc/doorctl/doorctl.toml"

WITHOUT_LINES = r"awk '/^\[/ { line = /^\[(reader|keypad)\]/ } !line'"
"""Reads a configuration and prints all but its tables of reader and keypad."""

STROKE_S = 0.02
"""Between pressing a key and letting go of it; QEMU keeps 16 and hands one on each 10 ms."""

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
            emulator(parts, directory, keeps),
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

    def keep(self, directory: Path) -> None:
        """Copy its console and the door's log of this boot, to be looked at when it is gone."""
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._directory / "console", directory / "console")
        with contextlib.suppress(OSError):
            log = self.run(f"journalctl -b -u {UNIT} -o short-monotonic")
            (directory / "door.log").write_text(log, encoding="utf-8")

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

    def plug(self, keyboard: Keyboard) -> None:
        """Put a keyboard into the hub, and return once its node is there."""
        self._monitor.do("device_add", **keyboard.device())
        until(
            f"{keyboard.node} to come", lambda: self._has(keyboard.node), PLUGGED_S, apart_s=LOOK_S
        )

    def unplug(self, keyboard: Keyboard) -> None:
        """Pull a keyboard out, and return once its node is gone."""
        self._monitor.do("device_del", id=keyboard.name)
        until(
            f"{keyboard.node} to go",
            lambda: not self._has(keyboard.node),
            PLUGGED_S,
            apart_s=LOOK_S,
        )

    def _has(self, path: str) -> bool:
        return self.run(f"test -e {path}; echo $?") == "0"

    def type(self, keyboard: Keyboard, text: str) -> None:
        """Type on a keyboard, one key after another; a CR is Enter."""
        for event in strokes(text, number_block=keyboard.number_block):
            self._monitor.do("input-send-event", device=keyboard.screen, events=[event])
            time.sleep(STROKE_S)

    @contextlib.contextmanager
    def other_lines(self, reader: str, keypad: str, first: str = "true") -> Iterator[str]:
        """Give the door other lines, as somebody does who edits the file; the old ones come back.

        `reader` and `keypad`: what stands below the heading of each; `first`: a command for the
        time when no door has the lines. Given is what it printed.
        """
        tables = shlex.quote(f"[reader]\n{reader}\n[keypad]\n{keypad}\n")
        self.run(f"systemctl stop {UNIT}; cp -p {CONFIG} {CONFIG}.before")
        self.run(f"{WITHOUT_LINES} {CONFIG}.before >{CONFIG}; printf %s {tables} >>{CONFIG}")
        printed = self.run(first)
        try:
            self._start_door()
            yield printed
        finally:
            self.run(f"systemctl stop {UNIT}; mv {CONFIG}.before {CONFIG}")
            self._start_door()

    def _start_door(self) -> None:
        if self.run(f"systemctl start {UNIT} >/dev/null 2>&1; echo $?") != "0":
            raise RuntimeError(self.run(f"journalctl -b -u {UNIT} -o cat | tail -n 3"))
        time.sleep(HEARD_S)

    def decisions(self) -> list[dict[str, Any]]:
        """Return the door's decisions of this boot, oldest first."""
        return self.logged("decision")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the door's log lines of one event and of this boot, oldest first."""
        text = self.run(f"journalctl -b -u {UNIT} -o cat | grep '\"{event}\"'")
        found = []
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [line for line in found if line["event"] == event]


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


def emulator(parts: Parts, directory: Path, keeps: str) -> list[str]:
    """Return QEMU's command; `keeps` is for the kernel's own."""
    board = "qemu-system-aarch64 -M raspi3b -m 1G -smp 4 -accel tcg,thread=multi -S"
    blind = "-display none -nodefaults -vga none"
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
        *blind.split(),
        *("-serial", f"unix:{directory / 'keypad'},server=on,wait=off"),
        *("-serial", f"file:{directory / 'console'}"),
        *monitors,
        *ports,
        *(word for screen in SCREENS for word in ("-device", screen)),
    ]
