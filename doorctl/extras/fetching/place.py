"""Where a fetched export lies while it is read: one file of the sender's, deleted after that."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doorctl.core.errors import FetchError, StoreError
from doorctl.store.connection import changing
from doorctl.sync.exports import OTHER_SUFFIXES

if TYPE_CHECKING:
    from doorctl.extras.fetching import Fetch

FOLDER = "fetched"
MIB = 1024 * 1024


@dataclass(slots=True)
class Aside:
    """The file that an export is fetched into, 0600 in a folder 0700; `descriptor` is its own."""

    path: Path
    descriptor: int
    most_mib: int
    written: int = 0

    def write(self, piece: bytes) -> None:
        """Write on. FetchError: it is larger than it may be; StoreError: the disk failed."""
        self.written += len(piece)
        self.refuse_more_than(self.written)
        try:
            while piece:
                piece = piece[os.write(self.descriptor, piece) :]
        except OSError as error:
            raise self.unwritten(error.strerror or "it failed") from error

    def refuse_more_than(self, size: int) -> None:
        """Raise FetchError where so many bytes are more than an export may have."""
        if size > self.most_mib * MIB:
            what = f"it is larger than {self.most_mib} MiB; see source.fetch.most_mib"
            raise FetchError(f"the export was not fetched: {what}")

    def unwritten(self, why: str) -> StoreError:
        """Return the error of a disk that takes no more."""
        return StoreError(f"the export can't be written: {why}; make room in {self.path.parent}")

    def was_written_at(self, at_s: float) -> None:
        """Give it the time when its maker wrote it, in seconds since 1970; none that is to come."""
        at_s = min(at_s, os.fstat(self.descriptor).st_mtime)
        os.utime(self.descriptor, (at_s, at_s))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fetched: its kind and where its rows stand, as [source] says, and the last etag."""

    fetch: Fetch
    kind: str
    records: str
    etag: str = ""


def name_of(path: str, kind: str) -> str:
    """Return the name of the file for an export that was at a path; its suffix says its kind."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", path.rstrip("/").rpartition("/")[2])[-64:].lstrip(".")
    return last if Path(last).suffix.lower() in OTHER_SUFFIXES else f"export.{kind or 'ndjson'}"


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Delete a folder before a block, with what a killed run has left there, and after it."""
    _remove(folder)
    try:
        yield
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    with changing(folder, "removed"):
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)


def made(folder: Path, wanted: Wanted) -> Aside:
    """Make the folder, and in it the empty file. StoreError: they can't be made."""
    fetch = wanted.fetch
    at = fetch.sftp.path if fetch.sftp.host else fetch.http.url.partition("?")[0]
    with changing(folder):
        folder.mkdir(mode=0o700)
        path = folder / name_of(at, wanted.kind)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return Aside(path, os.open(path, flags, 0o600), fetch.most_mib)
