"""Opening SQLite files the one way that was proved: one writer, read-only readers, no surprises.

WAL with ``synchronous=FULL`` lost nothing in 8 185 simulated power cuts. Debian 13's SQLite
3.46.1 can corrupt a WAL file that two connections write or checkpoint; therefore one writer.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from doorctl.errors import AlreadyExistsError, StoreBusyError, StoreDamagedError, StoreError
from doorctl.identity import shared_in
from doorctl.store.new_file import named_when_whole
from doorctl.store.older_file import Layout, lay_out

BUSY_TIMEOUT_MS = 5000
"""Longer than any checkpoint of ours; only a reader's recovery after a crash ever waits."""

WAL_KEPT_BYTES = 4 * 1024 * 1024
"""What is left of the WAL once a full push has been checkpointed."""

_COMMON = (
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    # The default, a file, would put rows into the system's temporary directory during VACUUM.
    "temp_store=MEMORY",
)
_WRITER = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    *_COMMON,
    "synchronous=FULL",
    "foreign_keys=ON",
    f"journal_size_limit={WAL_KEPT_BYTES}",
)
_READER = (
    *_COMMON,
    "query_only=ON",
    # The first that touches the file: what can't be read is told here, not at the first question.
    "schema_version",
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY_CODE = 0xFF
_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_IOERR: "the disk failed; check the card and its mount",
    sqlite3.SQLITE_READONLY: "it can't be written; check its owner and mount",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; check that it exists and who owns it",
    sqlite3.SQLITE_CONSTRAINT: "a row breaks the table's rules",
    sqlite3.SQLITE_ERROR: "it does not hold doorctl's tables",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions into ours; texts name the file and never a row's value.

    Raises:
        StoreDamagedError: the file is malformed or no database.
        StoreBusyError: another connection holds it.
        StoreError: anything else that SQLite itself reports.
    """
    try:
        yield
    except sqlite3.Error as error:
        if hasattr(error, "sqlite_errorcode"):
            raise _ours(path, error) from error
        if isinstance(error, sqlite3.OperationalError):
            # The driver could not decode a text, and quotes it.
            raise StoreDamagedError(f"{path} is damaged: a text can't be decoded") from None
        raise  # The driver's complaint about how we use it: a bug, not the disk's fault.
    except UnicodeDecodeError:
        # SQLite's own message quotes what it read, or a column is named by it.
        raise StoreDamagedError(f"{path} is damaged: a name can't be decoded") from None


def _ours(path: Path, error: sqlite3.Error) -> StoreError:
    code = error.sqlite_errorcode & _PRIMARY_CODE
    name = error.sqlite_errorname
    if code in _DAMAGED or str(error) == "unsupported file format":
        return StoreDamagedError(f"{path} is damaged ({name}); a start of the door sets it aside")
    if code in _BUSY:
        return StoreBusyError(f"{path} is in use by another process ({name}); try again")
    hint = _HINTS.get(code, "SQLite refused")
    return StoreError(f"{path} can't be used: {hint} ({name})")


def create_file(path: Path, migrations: Layout | None = None) -> None:
    """Create a database under its name once it is whole; -wal and -shm get its mode.

    That is 0600, and 0640 in a directory that is the group's to read: see `identity.shared_in`.

    Args:
        path: where nothing is.
        migrations: make its tables; None for none.

    Raises:
        AlreadyExistsError: the path is taken; nothing was touched.
        StoreBusyError: another process is making it.
        StoreError: it can't be created.
    """
    try:
        with (
            translated(path),
            named_when_whole(path) as (new, descriptor),
            closing(open_writer(new)) as database,
        ):
            os.fchmod(descriptor, shared_in(path.parent) & ~stat.S_IWGRP)
            if migrations is not None:
                lay_out(database, migrations)
    except StoreError:
        raise
    except FileExistsError:
        raise AlreadyExistsError(f"{path} already exists; doorctl does not overwrite it") from None
    except BlockingIOError:
        raise StoreBusyError(f"another doorctl process is making {path}; try again") from None
    except OSError as error:
        raise StoreError(f"{path} can't be created: {error.strerror}") from error


def open_writer(path: Path) -> sqlite3.Connection:
    """Open an existing file for the one connection that writes it, on the calling thread.

    Raises:
        StoreError: it is missing, or SQLite does not give what durability and purge rest on.
    """
    with translated(path):
        database = _connected(path, "rw", _WRITER, same_thread=True)
        try:
            _demand(path, database, "journal_mode=WAL", "wal")
            _demand(path, database, "secure_delete=ON", 1)
        except BaseException:
            database.close()
            raise
        return database


def open_reader(path: Path, *, patience_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """Open an existing file so that it can't be written, whatever is executed.

    Used by one thread at a time; another one may close it. It waits up to `patience_ms` where
    somebody holds the whole file, at each call.

    Raises:
        StoreError: it is missing or can't be opened, or its -shm can't be made.
    """
    with translated(path):
        return _connected(path, "ro", _reader(patience_ms), same_thread=False)


def whole_copy(path: Path) -> bytes:
    """Return a database as it was last committed, whoever writes it, as the bytes of a file.

    Raises:
        StoreDamagedError: it is damaged, so this would be no backup.
        StoreError: it is missing or can't be read.
    """
    with (
        translated(path),
        closing(open_reader(path)) as source,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        source.backup(copy)
        content = copy.serialize()
        # Of a file that may be written meanwhile no other reading tells the same.
        if source.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise StoreDamagedError(f"{path} is damaged; restore it from an older backup")
    return content


def open_unshared_reader(path: Path) -> sqlite3.Connection:
    """Open an existing file as one that nobody can write; its -wal is not looked at.

    Needs no -shm, so it works on a disk that is full or read-only. A change of the file is not
    seen, and may be read half: open it anew then.

    Raises:
        StoreError: it is missing or can't be opened.
    """
    with translated(path):
        return _connected(path, "ro&immutable=1", _reader(BUSY_TIMEOUT_MS), same_thread=False)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one durable transaction; anything raised undoes all of it.

    One that begins deferred fails with SQLITE_BUSY_SNAPSHOT without waiting.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on a full disk or an I/O error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _reader(patience_ms: int) -> tuple[str, ...]:
    return (f"busy_timeout={patience_ms}", *_READER)


def _refuse_pipes(path: Path) -> None:
    """SQLite would open one and wait for ever; whoever owns the directory can lay one there."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        name = path.with_name(f"{path.name}{suffix}")
        try:
            pipe = name.is_fifo()
        except OSError:
            continue  # SQLite tells that better.
        if pipe:
            raise StoreError(f"{name} is a pipe and no file; remove it")


def _connected(
    path: Path, mode: str, pragmas: tuple[str, ...], *, same_thread: bool
) -> sqlite3.Connection:
    _refuse_pipes(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=same_thread,
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _demand(path: Path, database: sqlite3.Connection, pragma: str, wanted: object) -> None:
    found = database.execute(f"PRAGMA {pragma}").fetchone()[0]
    if found != wanted:
        raise StoreError(f"{path} can't be used: SQLite answers {found} to {pragma}")
