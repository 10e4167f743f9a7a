"""Readers of a database that is written meanwhile, and replaced: they notice both."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from doorctl.core.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from doorctl.store.connection import (
    BUSY_TIMEOUT_MS,
    open_reader,
    open_unshared_reader,
    translated,
)
from doorctl.store.layout import Layout, refuse_others

LOOP_PATIENCE_MS = 10
"""How long the door's loop waits; a file that is held for longer counts as unreadable."""

LASTS_S = 3.0
"""How long the door still reads the old file while the new one is missing, unfinished or foreign.
An attacker gains nothing: a person who can replace the file can put a valid one there."""


@dataclass(slots=True)
class Lasting:
    """Which file was last found whole at a path, by any of its readers, and when. Thread-safe.

    A file is its device and inode; times are monotonic seconds.
    """

    now_s: Callable[[], float]
    last: tuple[Sequence[int], float] = ((), -inf)

    def note(self, file: Sequence[int]) -> None:
        """Note that this file stands at the path and is whole."""
        self.last = (file[:2], self.now_s())

    def holds(self, file: Sequence[int]) -> bool:
        """Tell whether this file may still answer; not once another one was found whole."""
        last, noted_s = self.last
        return file[:2] == last and self.now_s() - noted_s < LASTS_S


_COMMITS_BITS = 32


@dataclass(eq=False)
class WatchedReader:
    """Read `path` from its first use on, and open it again whenever another file is there.

    The file may appear later. Where no -shm can be made (the disk is full or read-only, or the
    directory another user's) and no commit waits in the -wal, the file is read as one that is
    not written, and opened again as soon as a process writes it.

    One thread uses it; another may close it.

    Args:
        cure: what to do where the file is missing; ends the error's text.
        migrations: None where another doorctl's file may be read too.
        lasting: shared by the readers of a file. If what replaced it can't be read, the old one
            answers for :data:`LASTS_S`; never where this is None.

    Attributes:
        generation: another number after each opening.
        shared: whether commits of others show without a new opening.
    """

    path: Path
    cure: str
    migrations: Layout | None = None
    _: KW_ONLY
    patience_ms: int = BUSY_TIMEOUT_MS
    lasting: Lasting | None = None

    def __post_init__(self) -> None:
        self._name = str(self.path)
        self.generation = 0
        self.shared = True
        self._wal = self.path.with_name(f"{self.path.name}-wal")
        self._shm = self.path.with_name(f"{self.path.name}-shm")
        self._file: tuple[int, ...] = ()
        self._immutable = False
        self._database: sqlite3.Connection | None = None

    def current(self) -> sqlite3.Connection:
        """Return a connection to the file now at the path; one stat or two. Raises StoreError."""
        before, read = self._database, (self._file, self.shared, self._immutable)
        try:
            if before is None or self._identify() != self._file:
                self._database = self._refused_if_not_ours(self._opened())
                self.generation += 1
                if before is not None:
                    before.close()
            if self.lasting is not None:
                self.lasting.note(self._file)
        except StoreError:
            self._file, self.shared, self._immutable = read
            if not self._lasts():
                self.close()
                raise
        assert self._database is not None  # noqa: S101 - opened, or lasting
        return self._database

    def fetch(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return all records of a query; raises StoreError as `current` and `translated` do."""
        with translated(self.path):
            return self.current().execute(sql, parameters).fetchall()

    def version(self) -> int:
        """Return a number that changes with each commit and each new file."""
        database, commits = self.current(), 0
        if self.shared:
            try:
                commits = database.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error:
                with translated(self.path):
                    raise
        return (self.generation << _COMMITS_BITS) + commits

    def is_at(self, file: tuple[int, int]) -> bool:
        """Tell whether it reads the file of a device and inode."""
        return self._file[:2] == file

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _lasts(self) -> bool:
        if self.lasting is None or self._database is None:
            return False
        # What is read as one that is not written may be half of another by now.
        return not self._immutable and self.lasting.holds(self._file)

    def _opened(self) -> sqlite3.Connection:
        # Identified before it is opened: a change in between is noticed at the next call.
        # Through a -shm that can't be written SQLite reads, and calls each answer a new commit
        # where no process writes and the -wal is empty.
        self.shared = self._shm_writable() or self._wal_bytes() > 0
        self._immutable = False
        self._file = self._identify()
        try:
            return open_reader(self.path, patience_ms=self.patience_ms)
        except (StoreBusyError, StoreDamagedError):
            raise
        except StoreError:
            self.shared = False
            self._file = self._identify()
            if self._file[-1]:
                raise
        self._immutable = True
        return open_unshared_reader(self.path)

    def _refused_if_not_ours(self, opened: sqlite3.Connection) -> sqlite3.Connection:
        try:
            with translated(self.path):
                if self.migrations is not None:
                    refuse_others(opened, self.migrations)
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
            status = os.stat(self._name)  # noqa: PTH116 - before each swipe's relay
        except FileNotFoundError:
            raise StoreError(f"{self.path} is missing; {self.cure}") from None
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
