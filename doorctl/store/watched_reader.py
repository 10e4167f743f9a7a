"""A long-lived read-only connection that follows its path when another file appears there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from doorctl.errors import StoreBusyError, StoreDamagedError, StoreError
from doorctl.store.connection import (
    BUSY_TIMEOUT_MS,
    open_reader,
    open_unshared_reader,
    translated,
)
from doorctl.store.older_file import Layout, refuse_others

LOOP_PATIENCE_MS = 10
"""For the door's loop, which must not wait: what is held for longer counts as unreadable."""

LASTS_S = 3.0
"""For the door: so long a file that is replaced may be missing, unfinished or foreign, and the one
before it still answers. Whoever replaces it could as well lay a good one there."""


class WatchedReader:
    """Open `path` at the first use, and again whenever the file there is another one.

    Where no -shm can be made, because the disk is full or read-only or the directory somebody
    else's, and no commit waits in the -wal, the file is read as one that nobody writes, and opened
    again as soon as somebody does.

    One thread uses it; closing may be left to whoever shuts down.

    Args:
        path: the database; it may appear later.
        cure: what is to be done where it is missing.
        migrations: what lays it out; None where a newer doorctl's file may be read too.
        patience_ms: how long a call waits where somebody holds the whole file.
        now_s: monotonic seconds, where for :data:`LASTS_S` the file that was read last is to
            answer if what replaced it can't be read; None where it never does.

    Attributes:
        generation: another number after each opening.
        shared: whether commits of others show without a new opening.
    """

    def __init__(
        self,
        path: Path,
        cure: str,
        migrations: Layout | None = None,
        *,
        patience_ms: int = BUSY_TIMEOUT_MS,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self.path = path
        self.generation = 0
        self.shared = True
        self._cure = cure
        self._migrations = migrations
        self._patience_ms = patience_ms
        self._now_s = now_s
        self._lost_s: float | None = None
        self._wal = path.with_name(f"{path.name}-wal")
        self._shm = path.with_name(f"{path.name}-shm")
        self._file: tuple[int, ...] = ()
        self._database: sqlite3.Connection | None = None

    def current(self) -> sqlite3.Connection:
        """Return a connection to the file that stands at the path now; costs one stat, or two.

        Raises:
            StoreError: the file is missing, not this doorctl's, or can't be opened.
        """
        before, read = self._database, (self._file, self.shared)
        try:
            if before is None or self._identify() != self._file:
                self._database = self._refused_if_not_ours(self._opened())
                self.generation += 1
                if before is not None:
                    before.close()
            self._lost_s = None
        except StoreError:
            self._file, self.shared = read
            if not self._lasts():
                self.close()
                raise
        assert self._database is not None  # noqa: S101 - opened, or lasting
        return self._database

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _lasts(self) -> bool:
        # What is read as one that nobody writes may be half of another by now.
        if self._now_s is None or self._database is None or not self.shared:
            return False
        now_s = self._now_s()
        self._lost_s = now_s if self._lost_s is None else self._lost_s
        return now_s - self._lost_s < LASTS_S

    def _opened(self) -> sqlite3.Connection:
        # Identified before it is opened: a change in between is noticed at the next call.
        # Through a -shm that can't be written SQLite reads, and calls each answer a new commit
        # where nobody writes and the -wal is empty.
        self.shared = self._shm_writable() or self._wal_bytes() > 0
        self._file = self._identify()
        try:
            return open_reader(self.path, patience_ms=self._patience_ms)
        except (StoreBusyError, StoreDamagedError):
            raise
        except StoreError:
            self.shared = False
            self._file = self._identify()
            if self._file[-1]:
                raise
        return open_unshared_reader(self.path)

    def _refused_if_not_ours(self, opened: sqlite3.Connection) -> sqlite3.Connection:
        try:
            with translated(self.path):
                if self._migrations is not None:
                    refuse_others(opened, self._migrations)
        except BaseException:
            opened.close()
            raise
        return opened

    def _shm_writable(self) -> bool:
        # Where even looking is forbidden, opening the database says so.
        access = partial(os.access, self._shm, effective_ids=True)
        return not access(os.F_OK) or access(os.W_OK)

    def _identify(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise StoreError(f"{self.path} is missing; {self._cure}") from None
        except OSError as error:
            raise StoreError(f"{self.path} can't be opened: {error.strerror}") from error
        file = (status.st_dev, status.st_ino)
        if self.shared:
            return file
        # The -wal last: there a writer's commit shows first.
        return (*file, status.st_mtime_ns, status.st_size, self._wal_bytes())

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreError(f"{self._wal} can't be looked at: {error.strerror}") from error
