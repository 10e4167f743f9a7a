"""A disk as a cut left it, and the files that are on it once its journal has been replayed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.powercut.cuts import Cut
from tests.powercut.guest import BLOCK_BYTES
from tests.powercut.tools import tool
from tests.powercut.writes import Write

FOLDER = "branch"
"""Where the workload's files are on the disk."""

_EMPTY = bytes(BLOCK_BYTES)
_CORRECTED = 1
"""`e2fsck`'s exit code once it has replayed the journal or freed what was deleted but open."""


class Disk:
    """Goes through the states of a log; each is cheap if it is not before the one before.

    `before`: the disk before the first write; `work`: a directory in memory, for one disk at a
    time.
    """

    def __init__(self, before: Path, entries: Sequence[Write], work: Path) -> None:
        self._entries = entries
        self._bytes = bytearray(before.read_bytes())
        self._done = 0
        self._image = work / "disk"
        self.said = ""
        blocks = range(len(self._bytes) // BLOCK_BYTES)
        self._used = {number for number in blocks if self._block(number) != _EMPTY}

    def files(self, cut: Cut, into: Path) -> bool:
        """Copy the branch's files into a directory, as a folder; there is none if there were none.

        Args:
            cut: the state; not one of an earlier `since` than the last one.
            into: an empty directory.

        Returns:
            Whether the file system's own tool could put it right, as the kernel does at a mount;
            else `said` is what it said last.
        """
        self._go_to(cut.since)
        self._make(cut)
        done = _run(["e2fsck", "-fy", str(self._image)])
        if done.returncode > _CORRECTED:
            lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
            self.said = f"{done.returncode}, {' / '.join(filter(None, lines[-8:]))}"
            return False
        _run(["debugfs", "-R", f"rdump /{FOLDER} {into}", str(self._image)])
        return True

    def _go_to(self, since: int) -> None:
        if since < self._done:
            raise ValueError("a disk does not go back")
        for entry in self._entries[self._done : since]:
            self._bytes[entry.at : entry.at + len(entry.data)] = entry.data
            self._used.update(_blocks(entry))
        self._done = since

    def _make(self, cut: Cut) -> None:
        # A new file each time, with holes: the tool writes where it likes.
        self._image.unlink(missing_ok=True)
        descriptor = os.open(self._image, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, len(self._bytes))
            view = memoryview(self._bytes)
            for first, last in _runs(sorted(self._used)):
                place = first * BLOCK_BYTES
                os.pwrite(descriptor, view[place : last * BLOCK_BYTES], place)
            for number, sectors in cut.kept:
                _put(descriptor, self._entries[number], sectors)
        finally:
            os.close(descriptor)

    def _block(self, number: int) -> bytes:
        return bytes(self._bytes[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])


def _put(descriptor: int, entry: Write, sectors: Sequence[int] | None) -> None:
    if sectors is None:
        os.pwrite(descriptor, entry.data, entry.at)
        return
    for sector in sectors:
        place = sector * entry.sector
        os.pwrite(descriptor, entry.data[place : place + entry.sector], entry.at + place)


def _blocks(entry: Write) -> range:
    end = entry.at + len(entry.data)
    return range(entry.at // BLOCK_BYTES, -(-end // BLOCK_BYTES))


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return stretches, each from its first number to the one behind its last."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([tool(command[0]), *command[1:]], capture_output=True, check=False)
