"""The disk that the databases are on: is there room, and can it be written?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from doorctl.errors import StoreError

PROBE = bytes(4096)
"""One page, as much as SQLite's smallest write."""


class DataDisk:
    """The real `Disk`; thread-safe, for it holds nothing.

    Args:
        directory: where the databases are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def free_bytes(self) -> int:
        """Return what is free without the part that ext4 keeps for root."""
        try:
            found = os.statvfs(self._directory)
        except OSError as err:
            raise StoreError(f"{self._directory} can't be asked: {err.strerror}") from err
        return found.f_bavail * found.f_frsize

    def prove_writable(self) -> None:
        """Write a page to a file without a name and wait until the medium has it.

        A file without a name (Linux's ``O_TMPFILE``) is gone whenever the process is.
        """
        try:
            with tempfile.TemporaryFile(dir=self._directory, buffering=0) as probe:
                probe.write(PROBE)
                os.fsync(probe.fileno())
        except OSError as err:
            raise StoreError(f"{self._directory} can't be written: {err.strerror}") from err
