"""A serial device made of a pseudo-terminal, found by a by-id name, that can be unplugged."""

from __future__ import annotations

import os
import tty
from dataclasses import dataclass, field
from pathlib import Path

READER_NAME = "usb-QEMU_QEMU_USB_SERIAL_1-0000:00:04.0-1-if00-port0"
"""What udev calls the first port of an emulated FTDI adapter."""


@dataclass
class FakeSerialPort:
    """A reader or keypad on a cable; call `unplug` in the end.

    `directory`: stands for ``/dev/serial/by-id``; `name`: the device's link in it.
    """

    directory: Path
    name: str = READER_NAME
    _master: int | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """What goes into ``reader.port``."""
        return str(self.directory / self.name)

    def plug(self) -> None:
        """Make a new device node and then point the by-id link at it, as udev does."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        Path(self.path).symlink_to(os.ttyname(slave))
        os.close(slave)

    def send(self, data: bytes) -> None:
        """Let the device say something; all of it, however long that takes."""
        assert self._master is not None, "send() on an unplugged device"
        while data:
            data = data[os.write(self._master, data) :]

    def unplug(self) -> None:
        """Pull the cable: the node goes, then its link. Harmless when not plugged in."""
        if self._master is not None:
            os.close(self._master)
            Path(self.path).unlink()
            self._master = None
