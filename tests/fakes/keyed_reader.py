"""A reader that keeps its key: libosdp's PD in a process of its own, killed as a power cut does.

``python -m tests.fakes.keyed_reader MASTER KEY_FILE MISHAP``, where MASTER is the descriptor
of a pty's master. Without a key file it is in its set-up mode, as a reader that is new.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

import osdp

ADDRESS = 5

MISHAPS = (
    "",
    "dies before it keeps a key",
    "dies with a key kept",
    "loses what acknowledges a key",
    "acknowledges a key and dies before it keeps it",
    "refuses a key",
)


class KeyedReader:
    """A reader at a pty; `port` is what the door opens, `file` what the reader holds as its key."""

    def __init__(self, folder: Path) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.file = folder / "reader's own key"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> bytes:
        """The key that it holds; none in its set-up mode."""
        return self.file.read_bytes() if self.file.exists() else b""

    def power_on(self, mishap: str = "") -> None:
        """Begin, with what it holds; a `mishap` befalls it with the first key that it is sent.

        Returns once it hears its line: whoever asks it has less time than Python takes to start.
        """
        self.power_off()
        words = [sys.executable, "-m", __spec__.name, str(self._master), str(self.file), mishap]
        self._process = subprocess.Popen(
            words, pass_fds=[self._master], stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdout is not None
        assert self._process.stdout.read(1)

    def power_off(self) -> None:
        """End at once, with no packet half sent to whoever comes next."""
        if self._process is not None:
            with self._process:
                self._process.kill()
            self._process = None

    def close(self) -> None:
        """End, and unplug the line."""
        self.power_off()
        os.close(self._master)
        os.close(self._slave)


class Wire:
    """The pty, of which the next packet may be lost, or be the last."""

    id = 0
    loses = ends = False

    def __init__(self, master: int) -> None:
        self._master = master

    def read(self, most: int) -> bytes:
        """Return what has come."""
        try:
            return os.read(self._master, most)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        """Send, or seem to."""
        if self.loses:
            self.loses = False
            return len(data)
        sent = os.write(self._master, data)
        if self.ends:
            os._exit(1)
        return sent

    def flush(self) -> None:
        """Drop nothing."""


class Obedience:
    """What it does with a command."""

    def __init__(self, wire: Wire, file: Path, mishap: str) -> None:
        self._wire, self._file, self._mishap = wire, file, mishap

    def __call__(self, command: dict[str, Any]) -> tuple[int, None]:
        """Keep a key, unless the mishap is now."""
        if command["command"] != osdp.Command.Keyset:
            return 0, None
        befalls, self._mishap = self._mishap, ""
        if befalls == "refuses a key":
            return -1, None
        if befalls == "dies before it keeps a key":
            os._exit(1)
        self._wire.ends = befalls == "acknowledges a key and dies before it keeps it"
        if not self._wire.ends:
            new = self._file.with_suffix(".new")
            new.write_bytes(command["data"])
            new.replace(self._file)
        if befalls == "dies with a key kept":
            os._exit(1)
        self._wire.loses = befalls == "loses what acknowledges a key"
        return 0, None


def main(master: int, file: Path, mishap: str) -> None:
    """Be the reader until it is killed."""
    os.set_blocking(master, False)
    wire = Wire(master)
    key = file.read_bytes() if file.exists() else None
    flags = [osdp.LibFlag.EnforceSecure] if key else [osdp.LibFlag.InstallMode]
    reader = osdp.PeripheralDevice(
        osdp.PDInfo(ADDRESS, wire, scbk=key, flags=flags),
        osdp.PDCapabilities([(osdp.Capability.CommunicationSecurity, 1, 1)]),
        osdp.LogLevel.Emergency,
        command_handler=Obedience(wire, file, mishap),
    )
    reader.ctx.refresh()
    os.write(1, b"!")
    while True:
        reader.ctx.refresh()
        time.sleep(0.005)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
