"""The same Debian without an emulator: booted by ``systemd-nspawn``, many times faster.

It has this machine's kernel, no device of its own and no network but a loopback.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.install.guest import COMMAND_S, Operated
from tests.install.machine import Machine
from tests.install.trial import PLUGS

NO_NETWORK = "systemctl mask -q systemd-networkd systemd-networkd-wait-online guest-agent"


class Contained(Operated):
    """A Debian in a container; for a process in namespaces of its own.

    `base`: the tree of the emulated one's disk, which stays as it is; `directory`: an empty one;
    `network`: what ``own_network`` returned.
    """

    reader, keypad = (
        f"/dev/serial/by-id/usb-{name}-if00-port0" for name in ("CARD_READER", "KEYPAD")
    )
    in_real_time = True

    def __init__(self, base: Path, directory: Path, network: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._machine = Machine(directory.name, base, directory, network, {})
        self._plugs: subprocess.Popen[str] | None = None
        self._machine.run(NO_NETWORK)
        self._machine.boot()

    def run(self, command: str, limit_s: float = COMMAND_S) -> tuple[int, str]:
        """Run a command; the time it may take is the machine's own."""
        _ = limit_s
        code, text = self._machine.run(f"export DEBIAN_FRONTEND=noninteractive; cd; {command}")
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
