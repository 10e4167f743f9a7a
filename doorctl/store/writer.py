"""The one writing connection of a database, with its lock and its migrations applied."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from doorctl.store.connection import open_writer, translated
from doorctl.store.older_file import Layout, lay_out
from doorctl.store.writer_lock import WriterLock


class Writer:
    """Hold the lock and the connection; belongs to the thread that makes it.

    Args:
        path: an existing database, or an empty file.
        migrations: all pending ones are applied, recorded and counted in one transaction.
        checkpoints: whether each commit is copied into the file at once: a wrong bit in the WAL
            takes what was committed last away, and what keeps people out must not depend on it.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: the file is missing, of a newer doorctl, or can't be used.
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

    def close(self) -> None:
        """Close the connection, then let the next writer in; idempotent.

        While readers hold the file its WAL stays, but empty: what stands in it could not be read
        by a door that starts on a full disk.
        """
        # Closed before, or a disk that fails: then the WAL says what the file does not.
        with suppress(sqlite3.Error, UnicodeDecodeError):
            self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.database.close()
        self._lock.close()
