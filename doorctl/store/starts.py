"""How often in a row the door has started without being able to write its log.

A file of its own that is overwritten in place: a full disk, which takes no new row, takes that. It
is about no person, so nothing of it need ever be deleted.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path

from doorctl.store.connection import create_private, opened

NAME = "starts"
SIZE_BYTES = 512
"""A sector, of which a disk writes all or nothing."""

_NUMBER_BYTES = 4

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK
"""A pipe in the file's place is not waited for."""


class UnwrittenStarts:
    """Counts them, on one thread; never raises.

    Where the file can't be read or written, as on a read-only disk, nothing is counted. Its first
    making takes room; each later count takes none.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._kept = 0

    def begin(self) -> int:
        """Count this start, durably; return how many there were before it."""
        with suppress(OSError):
            create_private(self._path, _sector(0))
        before = 0
        with suppress(OSError), opened(self._path, os.O_RDONLY | _FLAGS) as descriptor:
            before = _number(os.pread(descriptor, SIZE_BYTES, 0))
        self._write(before + 1)
        return before

    def written(self) -> None:
        """Begin to count anew: the log has been written."""
        if self._kept:
            self._write(0)

    def _write(self, number: int) -> None:
        self._kept = number
        with suppress(OSError), opened(self._path, os.O_WRONLY | _FLAGS) as descriptor:
            os.pwrite(descriptor, _sector(number), 0)
            os.fdatasync(descriptor)


def _sector(number: int) -> bytes:
    counted = min(number, 2**31).to_bytes(_NUMBER_BYTES, "big")
    return (counted + zlib.crc32(counted).to_bytes(4, "big")).ljust(SIZE_BYTES, b"\0")


def _number(sector: bytes) -> int:
    """Return the number of a sector; 0 for one that is damaged."""
    number = int.from_bytes(sector[:_NUMBER_BYTES], "big")
    return number if sector == _sector(number) else 0
