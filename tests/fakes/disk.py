"""A disk that is as full and as broken as the test says."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.core.errors import StoreError
from doorctl.ops.process import DataDisk


@dataclass
class FakeDisk(DataDisk):
    """A disk of one number.

    `free`: what it says is free, in bytes; `gone`: while True nothing can be asked or written;
    `read_only`: while True nothing can be written.
    """

    free: int = 10_000_000_000
    gone: bool = False
    read_only: bool = False

    def free_bytes(self) -> int:
        """Return `free`."""
        if self.gone:
            raise StoreError("the fake disk is gone")
        return self.free

    def prove_writable(self) -> None:
        """Do nothing, or fail as told."""
        if self.gone or self.read_only:
            raise StoreError("the fake disk can't be written")
