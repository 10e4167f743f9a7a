"""A pseudo-terminal that can be pulled out and put back under the same name, like a USB reader."""

from __future__ import annotations

import os
import tty
from pathlib import Path


class Plug:
    """A serial device made of a pty; one thread.

    Args:
        name: the path that the daemon opens, as a by-id name would be: a symbolic link.
    """

    def __init__(self, name: Path) -> None:
        self.name = name
        self._master = -1

    def put_in(self) -> None:
        """Make the device appear."""
        master, slave = os.openpty()
        # Without raw mode the line discipline would echo, and turn CR into LF.
        tty.setraw(slave)
        terminal = os.ttyname(slave)
        os.close(slave)
        self._master = master
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
        """Let the device say something."""
        while data:
            data = data[os.write(self._master, data) :]
