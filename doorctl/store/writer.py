"""One writer a database, in one process: a lock file that a dead process can't leave locked."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from doorctl.core.errors import (
    StoreBusyError,
    StoreError,
)
from doorctl.store.connection import compact, open_writer, transaction, translated
from doorctl.store.layout import Layout, lay_out

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WriterLock:
    """Hold ``<database>.lock`` from construction to :meth:`close`; the kernel lets go if we die.

    The file stays: removing it would let two processes lock two files of the same name. Raises
    StoreBusyError: another writer holds it, in this process or another. StoreError: the lock file
    can't be opened, or is no regular file with just this name.
    """

    def __init__(self, database: Path) -> None:
        lock = database.with_name(f"{database.name}.lock")
        try:
            self._descriptor = os.open(lock, _FLAGS, 0o600)
        except OSError as error:
            raise StoreError(f"{lock} can't be opened: {error.strerror}") from error
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise StoreError(f"{lock} is not a file of its own; see what it is, and remove it")
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if isinstance(error, StoreError):
                raise
            if isinstance(error, BlockingIOError):
                raise StoreBusyError(
                    f"another doorctl process is writing {database}; wait for it or stop it"
                ) from None
            raise StoreError(f"{lock} can't be locked: {error.strerror}") from error

    def close(self) -> None:
        """Let the next writer in; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Writer:
    """Hold a database's lock and its one writing connection; belongs to the thread that makes it.

    The file must exist and may be empty; it is brought to this program's layout.

    Args:
        checkpoints: copy each commit into the file at once: a wrong bit in the WAL loses the last
            commits, and what keeps people out must not depend on it.

    Raises StoreBusyError: another process is the writer. StoreError: the file is missing, laid out
    by another doorctl, or can't be used.
    """

    def __init__(self, path: Path, migrations: Layout, *, checkpoints: bool = False) -> None:
        self.path = path
        self._lock = WriterLock(path)
        try:
            self.database: sqlite3.Connection = open_writer(path)
        except BaseException:
            self._lock.close()
            raise
        try:
            with translated(path):
                lay_out(self.database, migrations)
                if checkpoints:
                    self.database.execute("PRAGMA wal_autocheckpoint=1")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one durable transaction; SQLite's errors become ours."""
        with translated(self.path), transaction(self.database) as connection:
            yield connection

    def compact(self) -> tuple[int, int, int]:
        """Rewrite the file without what was deleted; ``(0, 0, 0)`` if no byte of it is left."""
        with translated(self.path):
            return compact(self.database)

    def close(self) -> None:
        """Close the connection, then let the next writer in; idempotent.

        While readers hold the file its WAL stays, but empty: a door that starts on a full disk
        could not read what is in it.
        """
        # Closed before, or a disk that fails: then the WAL says what the file does not.
        with suppress(sqlite3.Error, UnicodeDecodeError):
            self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.database.close()
        self._lock.close()
