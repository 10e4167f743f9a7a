"""A pseudo-terminal that can be pulled out and put back under the same name, like a USB reader."""

from __future__ import annotations

import os
import tty
from pathlib import Path

from doorctl.errors import DeviceError


class Plug:
    """A serial device made of a pty; one thread.

    Args:
        name: the path that the daemon opens, as a by-id name would be: a symbolic link.
    """

    def __init__(self, name: Path) -> None:
        self.name = name
        self._master = -1

    @property
    def is_in(self) -> bool:
        """Whether the device is there."""
        return self._master >= 0

    def put_in(self, stored: bytes = b"") -> None:
        """Make the device appear.

        Args:
            stored: what it kept while it was out and says at once: it lies in the kernel's
                buffer when the daemon opens the line. At most 4095 bytes.

        Raises:
            DeviceError: this machine makes no pseudo-terminals.
        """
        try:
            master, slave = os.openpty()
        except OSError as err:
            raise DeviceError(f"no pseudo-terminal: {err.strerror}; is /dev/pts mounted?") from err
        self._master = master
        # Without raw mode the line discipline would echo, and turn CR into LF.
        tty.setraw(slave)
        terminal = os.ttyname(slave)
        os.close(slave)
        self.send(stored)
        fresh = self.name.with_name(f"{self.name.name}.new")
        fresh.symlink_to(terminal)
        fresh.replace(self.name)

    def pull(self) -> None:
        """Make the device vanish; idempotent."""
        if self._master >= 0:
            self.name.unlink(missing_ok=True)
            os.close(self._master)
            self._master = -1

    def send(self, data: bytes) -> None:
        """Let the device say something.

        Raises:
            DeviceError: it is out.
        """
        if not self.is_in:
            raise DeviceError(f"the plug of the {self.name.name} is out; put it in")
        while data:
            data = data[os.write(self._master, data) :]
