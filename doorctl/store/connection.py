"""Open SQLite files, each with one writer and read-only readers.

WAL with ``synchronous=FULL`` lost nothing in 8 185 simulated power cuts. Debian 13's SQLite
3.46.1 can corrupt a WAL file that two connections write or checkpoint; therefore one writer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Sized
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from doorctl.core.errors import (
    AlreadyExistsError,
    DoorctlError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.identity import owner_of, shared_in
from doorctl.store.layout import Layout

PRIVATE = 0o600
"""The mode of a file that is its owner's alone."""


def create_private(path: Path, content: bytes = b"") -> None:
    """Create a file of mode 0600, durably, or none; raises FileExistsError, also for a link."""
    with named_when_whole(path) as (_, descriptor), open(descriptor, "wb", closefd=False) as file:
        file.write(content)


@contextmanager
def changing(
    path: Path, done: str = "written", *, error: type[DoorctlError] = StoreError
) -> Iterator[None]:
    """Change a file as the owner of its directory; raises `error`: it can't be `done`.

    Raises AlreadyExistsError where the block finds the path taken.
    """
    try:
        with owner_of(path.parent):
            yield
    except DoorctlError:
        raise
    except FileExistsError:
        raise AlreadyExistsError(f"{path} is there already; nothing was changed") from None
    except OSError as err:
        raise error(f"{path} can't be {done}: {err.strerror}") from err


def write_over(path: Path, content: bytes, mode: int = PRIVATE, *, keep: bool = False) -> None:
    """Replace what a file holds, durably; a reader, or a kill, finds the old or the new content.

    To `keep` is that a file which is there has its mode afterwards too, and its owner where the
    caller may give a file away.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    create_private(new, content)
    if keep and path.is_file():
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        with suppress(PermissionError):
            os.chown(new, status.st_uid, status.st_gid)
    # A stick knows no modes.
    if mode != PRIVATE:
        new.chmod(mode)
    new.replace(path)
    sync_directory(path.parent)


@contextmanager
def named_when_whole(path: Path) -> Iterator[tuple[Path, int]]:
    """Make a file as ``<name>.new`` in a block; it gets its name, durably, at the block's end.

    A reader meanwhile, or after a power cut, finds the whole file or none; what a killed process
    left is overwritten, but not through a hard link. The block gets the path of the still empty
    file and its descriptor. Raises FileExistsError: the path is taken, also by a dangling link;
    nothing was touched.
    BlockingIOError: another process is making it. OSError: the file can't be written; there is none
    then.
    """
    made = new = path.with_name(f"{path.name}.new")
    _remove_second_name(new)
    with opened(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Before anything is written: another process may just have renamed what was opened.
            _refuse_taken(path)
            _remove_companions(new)
            os.ftruncate(descriptor, 0)
            yield new, descriptor
            os.fsync(descriptor)
            # A database would take what an older one of its name has left for its own.
            _remove_companions(path)
            made = new.rename(path)
            sync_directory(path.parent)
        except BaseException:
            made.unlink(missing_ok=True)
            _remove_companions(new)
            raise


def _remove_second_name(new: Path) -> None:
    with suppress(FileNotFoundError):
        status = new.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            new.unlink()


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _remove_companions(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make names that were added, changed or removed in a directory durable."""
    with opened(directory, os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def opened(path: Path, flags: int = os.O_NONBLOCK) -> Iterator[int]:
    """Give a block a descriptor; a named pipe in the file's place would be waited for, for ever."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, PRIVATE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


BUSY_TIMEOUT_MS = 5000
"""Longer than any checkpoint of doorctl; only a reader's recovery after a crash ever waits."""

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
    """Turn SQLite's exceptions into ours; their texts name the file and never a row's value.

    Raises StoreDamagedError: the file is malformed or no database. StoreBusyError: another
    connection holds it. StoreError: anything else that SQLite itself reports.
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
        return StoreDamagedError(f"{path} is damaged ({name}); a start of its writer sets it aside")
    if code in _BUSY:
        return StoreBusyError(f"{path} is in use by another process ({name}); try again")
    hint = _HINTS.get(code, "SQLite refused")
    return StoreError(f"{path} can't be used: {hint} ({name})")


def create_file(path: Path, layout: Layout | None = None) -> None:
    """Create a database under its name once it is whole, without tables if `layout` is None.

    Its mode, also that of -wal and -shm, is 0600, or 0640 in a directory that the group may read:
    see `identity.shared_in`. Raises AlreadyExistsError: the path is taken; nothing was touched.
    StoreBusyError: another process is making it. StoreError: it can't be created.
    """
    try:
        with (
            translated(path),
            named_when_whole(path) as (new, descriptor),
            closing(open_writer(new)) as database,
        ):
            os.fchmod(descriptor, shared_in(path.parent) & ~stat.S_IWGRP)
            if layout is not None:
                with transaction(database):
                    layout.begin(database)
    except StoreError:
        raise
    except FileExistsError:
        raise AlreadyExistsError(f"{path} already exists; doorctl does not overwrite it") from None
    except BlockingIOError:
        raise StoreBusyError(f"another doorctl process is making {path}; try again") from None
    except OSError as error:
        raise StoreError(f"{path} can't be created: {error.strerror}") from error


def open_writer(path: Path) -> sqlite3.Connection:
    """Open an existing file for the one connection that writes it; StoreError if not durable."""
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

    One thread at a time uses it; another may close it. Each call waits up to `patience_ms` while
    another connection holds the whole file. Raises StoreError: it is missing or can't be opened, or
    its -shm can't be made.
    """
    with translated(path):
        return _connected(path, "ro", _reader(patience_ms), same_thread=False)


def whole_copy(path: Path) -> bytes:
    """Return a database's last commit as the bytes of a file, also while a process writes it.

    Raises StoreDamagedError: it is damaged, so this would be no backup. StoreError: it is missing
    or can't be read.
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


def copy_commit(path: Path, copy: Path) -> None:
    """Copy a database's last commit to another file; raises StoreError."""
    with (
        translated(path),
        closing(open_reader(path)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def open_unshared_reader(path: Path) -> sqlite3.Connection:
    """Open an existing file as one that can't be written; its -wal is ignored.

    Needs no -shm, so it works on a full or read-only disk. A change of the file is not seen, or
    half of it is read: open it anew then. Raises StoreError: it is missing or can't be opened.
    """
    with translated(path):
        return _connected(path, "ro&immutable=1", _reader(BUSY_TIMEOUT_MS), same_thread=False)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one durable transaction; any exception undoes all of it."""
    # One that began deferred would fail with SQLITE_BUSY_SNAPSHOT without waiting.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on a full disk or an I/O error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


COMPACT_WAIT_MS = 200
"""How long a purge waits for readers; the door's own writes wait behind it."""


def compact(connection: sqlite3.Connection, directory: Path | None = None) -> tuple[int, int, int]:
    """Run VACUUM and ``wal_checkpoint(TRUNCATE)``; return the latter's busy, log, checkpointed.

    The new file is made in memory, or in one without a name in a `directory`.
    """
    with _impatient(connection):
        with _temporary_in(connection, directory):
            connection.execute("VACUUM")
        return _truncated(connection)


def empty_log(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Leave no byte in the WAL; return as :func:`compact`. It costs what was written since."""
    with _impatient(connection):
        return _truncated(connection)


def _truncated(connection: sqlite3.Connection) -> tuple[int, int, int]:
    busy, log, done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return busy, log, done


@contextmanager
def _impatient(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute(f"PRAGMA busy_timeout={COMPACT_WAIT_MS}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


@contextmanager
def _temporary_in(connection: sqlite3.Connection, directory: Path | None) -> Iterator[None]:
    if directory is None:
        yield
        return
    quoted = str(directory.absolute()).replace("'", "''")
    # Of the whole process, but no other connection has temporary files.
    connection.execute(f"PRAGMA temp_store_directory='{quoted}'")
    connection.execute("PRAGMA temp_store=FILE")
    try:
        yield
    finally:
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA temp_store_directory=''")


def _reader(patience_ms: int) -> tuple[str, ...]:
    return (f"busy_timeout={patience_ms}", *_READER)


def _refuse_pipes(path: Path) -> None:
    """Refuse a pipe: SQLite would wait for ever, and the directory's owner can put one there."""
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
    answer = database.execute(f"PRAGMA {pragma}").fetchone()[0]
    if answer != wanted:
        raise StoreError(f"{path} can't be used: SQLite answers {answer} to {pragma}")


BATCH_ROWS = 100
"""Rows in memory at a time. Measured on a push: 1 000 take a quarter longer, for they have left the
processor's cache when SQLite comes to them; 50 and 200 are no faster."""

T = TypeVar("T")


def batches(things: Iterable[T]) -> Iterator[list[T]]:
    """Yield all of `things` in order, in lists of :data:`BATCH_ROWS`; the last may be shorter."""
    remaining = iter(things)
    while batch := list(islice(remaining, BATCH_ROWS)):
        yield batch


def marks(values: Sized) -> str:
    """Return the places of a list of values in a statement."""
    return ", ".join("?" * len(values))
