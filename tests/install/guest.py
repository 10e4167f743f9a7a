"""The guest while it runs: a Debian booted by ``systemd-nspawn``, its lines, its root shell.

It has this machine's kernel, no device of its own and no network but a loopback.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.install.machine import Machine
from tests.install.trial import PLUGS

READER, KEYPAD = (f"/dev/serial/by-id/usb-{name}-if00-port0" for name in ("CARD_READER", "KEYPAD"))
PIECE = 60_000


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


class Guest:
    """A Debian with a reader and a keypad; for a process in namespaces of its own. One thread.

    `base`: an empty Debian, which stays as it is; `directory`: an empty one; `network`: what
    ``own_network`` returned.
    """

    def __init__(self, base: Path, directory: Path, network: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._machine = Machine(directory.name, base, directory, network, {})
        self._plugs: subprocess.Popen[str] | None = None
        self._machine.boot()

    def run(self, command: str) -> tuple[int, str]:
        """Run a shell command as root at home; return its exit code and all that it printed."""
        code, text = self._machine.run(f"export DEBIAN_FRONTEND=noninteractive; cd; {command}")
        return code, text.strip()

    def reboot(self) -> None:
        """Boot again, and plug in what was plugged in."""
        self._unplug()
        self._machine.reboot()
        self.plug()

    def halt(self) -> None:
        """Switch it off, if it is on."""
        self._unplug()
        self._machine.halt()

    def plug(self) -> None:
        """Plug reader and keypad in; until then nothing is, and each boot forgets it."""
        self._plugs = self._machine.start("python3 -uc " + shlex.quote(PLUGS))

    def _unplug(self) -> None:
        # A shutdown would stop it and wait for it, and nobody would make it go on.
        if self._plugs is not None:
            self._plugs.communicate()

    def send(self, line: str, text: str) -> None:
        """Send something by the ``reader`` or the ``keypad``, plugged in; from any thread."""
        if self._plugs is None or self._plugs.stdin is None:
            raise RuntimeError("nothing is plugged in yet")
        self._plugs.stdin.write(f"{line} {text.strip()}\n")
        self._plugs.stdin.flush()

    def said(self, command: str) -> str:
        """Return what a command printed; RuntimeError with it where its exit code is not 0."""
        code, text = self.run(command)
        if code:
            raise RuntimeError(f"{command}: exit {code}\n{text}")
        return text

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
