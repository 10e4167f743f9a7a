"""A long-lived read-only connection that follows its path when another file appears there."""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database

from doorctl.errors import StoreError
from doorctl.store.connection import open_reader


class WatchedReader:
    """Open `path` at the first use, and again whenever the file there is another one.

    One thread uses it; closing may be left to whoever shuts down.

    Args:
        path: the database; it may appear later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._file: tuple[int, int] | None = None
        self._database: Database | None = None

    def current(self) -> Database:
        """Return a connection to the file that stands at the path now; costs one stat.

        Raises:
            StoreError: the file is missing or can't be opened.
        """
        file = self._identify()
        if self._database is None or file != self._file:
            self.close()
            self._database = open_reader(self.path)
            # Identified before it was opened: a change in between is noticed at the next call.
            self._file = file
            self.generation += 1
        return self._database

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _identify(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise StoreError(
                f"{self.path} is missing; run `doorctl init` or load the full feed"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path} can't be opened: {error.strerror}") from error
        return status.st_dev, status.st_ino
