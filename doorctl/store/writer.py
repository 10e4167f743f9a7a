"""The one writing connection of a database, with its lock and its migrations applied."""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database, Migrations

from doorctl.store.connection import open_writer, translated
from doorctl.store.writer_lock import WriterLock


class Writer:
    """Hold the lock and the connection; belongs to the thread that makes it.

    Args:
        path: an existing database, or an empty file.
        migrations: each pending one is applied and recorded in one transaction.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: the file is missing or can't be used.
    """

    def __init__(self, path: Path, migrations: Migrations) -> None:
        self._lock = WriterLock(path)
        try:
            self.database: Database = open_writer(path)
        except BaseException:
            self._lock.close()
            raise
        try:
            with translated(path):
                migrations.apply(self.database)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, then let the next writer in; idempotent."""
        self.database.close()
        self._lock.close()
