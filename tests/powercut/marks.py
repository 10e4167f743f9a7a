"""Marks in the disk's log, by the kernel's own interface: a process for each would take seconds.

The structures are those of ``include/uapi/linux/dm-ioctl.h``.
"""

from __future__ import annotations

import fcntl
import os
import struct

CONTROL = "/dev/mapper/control"

_IOCTL = struct.Struct("=III II Ii III Q 128s 129s 7x")
"""Version, sizes, counts, flags, device, name, uuid."""

_SECTOR = struct.Struct("=Q")
_READ_WRITE, _DEVICE_MAPPER, _TARGET_MESSAGE = 3, 0xFD, 14
_COMMAND = _READ_WRITE << 30 | _IOCTL.size << 16 | _DEVICE_MAPPER << 8 | _TARGET_MESSAGE
_VERSION = (4, 0, 0)


class Marks:
    """Number the marks from 1 and put each into the log, behind all that was flushed before.

    `device`: its name in the device mapper.
    """

    def __init__(self, device: str) -> None:
        self._device = device.encode()
        self._control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        self._count = 0

    def add(self) -> None:
        """Put the next one.

        Raises:
            OSError: the kernel refuses.
        """
        self._count += 1
        body = _SECTOR.pack(0) + b"mark %d\0" % self._count
        size = _IOCTL.size + len(body)
        head = _IOCTL.pack(*_VERSION, size, _IOCTL.size, 0, 0, 0, 0, 0, 0, self._device, b"")
        fcntl.ioctl(self._control, _COMMAND, bytearray(head + body))
