"""Signed reports of purges: a file each in a directory of their own, kept for six months."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from doorctl.core.errors import StoreError
from doorctl.store.connection import create_private, opened
from doorctl.store.damage.set_aside import STAMP_CHARACTERS, stamp

REPORTS_KEPT = timedelta(days=183)
"""Six months, as long as staff's own traces are kept: what an inspection asks for."""

LARGEST_BYTES = 64 * 1024
"""A report has under 1 KiB."""


class PurgeReports:
    """Keep reports, which name nobody, in a directory, mode 0700, a file 0600 each. One thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, content: bytes, at: datetime) -> Path:
        """Write a signed report, durably, and delete those older than :data:`REPORTS_KEPT`."""
        try:
            self._make_directory()
            for file in self._directory.glob("*.json"):
                if file.name[:STAMP_CHARACTERS] < stamp(at - REPORTS_KEPT):
                    file.unlink()
            return self._written(content, f"{stamp(at)}Z")
        except OSError as error:
            raise StoreError(
                f"{self._directory}: a purge report can't be written: {error.strerror}"
            ) from error

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700)
        except FileExistsError:
            # A link may lead anywhere: it is no shelf.
            with opened(self._directory, os.O_DIRECTORY | os.O_NOFOLLOW):
                pass

    def _written(self, content: bytes, stamp: str) -> Path:
        for number in count():
            path = self._directory / (f"{stamp}.json" if not number else f"{stamp}.{number}.json")
            try:
                create_private(path, content)
            except FileExistsError:
                continue
            return path
        raise AssertionError  # count() has no end.


def read_report(path: Path) -> bytes:
    """Return a report's bytes; StoreError if it is no regular file, or is far too large."""
    try:
        with opened(path) as descriptor:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = os.read(descriptor, LARGEST_BYTES + 1) if regular else b""
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    if not regular:
        raise StoreError(f"{path} is no purge report: it is not a regular file")
    if len(content) > LARGEST_BYTES:
        raise StoreError(f"{path} is no purge report: it is too large")
    return content
