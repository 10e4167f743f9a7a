"""A disk that is full now and then: a small one of its own, or a limit on what may be written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

INSIDE = "SOAK_INSIDE"
"""Variable that says that this process has mounts of its own."""

SIZE = "64m"
PIECE = bytes(64 * 1024)
LIMIT_BYTES = 4096


class Filling(Protocol):
    """Fills a disk and makes room again."""

    name: str

    def fill(self) -> None:
        """Leave no room."""

    def free(self) -> None:
        """Make room again."""


class SmallDisk:
    """A RAM disk that nobody else sees; files to fill it with are beside the branch's.

    `directory`: where it is mounted.
    """

    name = f"ENOSPC on a RAM disk of {SIZE}"

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"
        self._directory = directory
        options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"]
        subprocess.run(["mount", *options, str(directory)], check=True)

    def fill(self) -> None:
        """Write until the disk says no."""
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for piece in (PIECE, PIECE[:1]):
                self._write_all(descriptor, piece)
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Remove what filled it."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self._directory)], check=True)

    @staticmethod
    def _write_all(descriptor: int, piece: bytes) -> None:
        try:
            while True:
                os.write(descriptor, piece)
        except OSError:
            return


class SmallFiles:
    """Where mounting isn't permitted: the processes may write no file beyond 4 KiB (EFBIG).

    `pids`: whose files.
    """

    name = f"EFBIG beyond {LIMIT_BYTES} bytes (mounting isn't permitted here)"

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids

    def fill(self) -> None:
        """Set the limit."""
        self._limit(LIMIT_BYTES)

    def free(self) -> None:
        """Lift it."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, soft: int) -> None:
        for pid in self._pids:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def with_own_mounts() -> bool:
    """Start this program again where mounts are its own; tell whether they are now.

    Does not return where it could be started again.
    """
    if os.environ.get(INSIDE):
        return True
    unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    trying = [*unshare, "true"]
    try:
        permitted = subprocess.run(trying, capture_output=True, check=False).returncode == 0
    except OSError:
        permitted = False
    if permitted:
        program = [sys.executable, "-m", "tests.soak", *sys.argv[1:]]
        os.execvpe("unshare", [*unshare, *program], {**os.environ, INSIDE: "1"})  # noqa: S606 - ours
    return False
