"""The directory of signed purge reports: one file each, which name nobody."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from doorctl.core.errors import StoreError
from doorctl.store.connection import create_private

KEPT = timedelta(days=183)
"""Six months, as long as staff's own traces are kept: what an inspection asks for."""

LARGEST_BYTES = 64 * 1024
"""A report has under 1 KiB."""

_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_CHARACTERS = len("20260102T030405Z")


class PurgeReports:
    """Keep reports in a directory, mode 0700, each file 0600. One thread at a time.

    The first report makes the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, content: bytes, at: datetime) -> Path:
        """Write a signed report, durably; return its path. Delete those older than :data:`KEPT`.

        `at` is now, aware and trusted.

        Raises:
            StoreError: it could not be written.
        """
        try:
            self._make_directory()
            self._discard_before(at - KEPT)
            return self._written(content, _stamp(at))
        except OSError as error:
            raise StoreError(
                f"{self._directory}: a purge report can't be written: {error.strerror}"
            ) from error

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700)
        except FileExistsError:
            # What a link leads to is nobody's shelf.
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._directory, flags))

    def _written(self, content: bytes, stamp: str) -> Path:
        for number in count():
            path = self._directory / (f"{stamp}.json" if not number else f"{stamp}.{number}.json")
            try:
                create_private(path, content)
            except FileExistsError:
                continue
            return path
        raise AssertionError  # count() has no end.

    def _discard_before(self, oldest: datetime) -> None:
        for file in self._directory.glob("*.json"):
            if file.name[:_STAMP_CHARACTERS] < _stamp(oldest):
                file.unlink()


def read_report(path: Path) -> bytes:
    """Return the bytes of a report.

    Raises:
        StoreError: it can't be read, is no regular file, or is far too large.
    """
    try:
        # Without O_NONBLOCK a named pipe would be waited for, for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = os.read(descriptor, LARGEST_BYTES + 1) if regular else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    if not regular:
        raise StoreError(f"{path} is no purge report: it is not a regular file")
    if len(content) > LARGEST_BYTES:
        raise StoreError(f"{path} is no purge report: it is too large")
    return content


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_STAMP)
