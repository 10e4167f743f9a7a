"""Databases as they were before an upgrade: kept in a folder of root's, and put back from there.

They lie in folders of the service users, who may have left anything at any name there. What the way
back rests on is therefore root's, and what stands in the way is renamed, by the folder's owner.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType

from doorctl.core.errors import StoreBusyError, StoreError
from doorctl.core.identity import as_root, owner_of, shared_in
from doorctl.store.connection import (
    named_when_whole,
    open_unshared_reader,
    sync_directory,
    translated,
)
from doorctl.store.reader import WatchedReader
from doorctl.store.writer import WriterLock

FOLDER = "before-upgrade"
"""The copies' folder, beside ``releases``."""

BESIDE = ".before-upgrade"
"""Behind the name of a copy as releases up to 0.2 made it, beside its database."""

PUT_BACK = ".put-back"
"""Behind the name of a copy that takes a database's place next."""

REPLACING = ".replacing"
"""Behind the name of a mark beside the copies: the database itself may be half of one."""

STRANGE = ".strange-"
"""In the name of what was renamed because it stood in the way."""

MOST_LISTED = 5
MOST_NAME_CHARACTERS = 100
MOST_STEPS = 10_000_000
"""Of SQLite's, for a count; it takes ten, but a view without an end may be in the table's place."""

_KINDS: Mapping[int, str] = MappingProxyType(
    {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFLNK: "a link",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFREG: "a file",
    }
)
_COMPANIONS = ("-wal", "-shm", "-journal")
_OWN = 0o600
_OURS = re.compile(r"\.(db|sock|json|key|html)\b")
"""What the names of files have in them that door and web make."""


class KeptDatabases:
    """Copies of databases in a folder that is root's; the databases' processes must be stopped.

    The databases' group may read the copies, as it may read the databases: a purge's proof does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, path: Path) -> None:
        """Keep a database's last commit.

        Raises StoreDamagedError: it is no database, and there is nothing to keep. StoreError or
        OSError: it can't be read, or the copy not be written.
        """
        self._copy(path, path)

    def put_back(self, path: Path, counting: str) -> str:
        """Make a database what was kept, unless its layout is still the same.

        Cut short at any step, another call ends it. Returns how much of what `counting` numbers is
        lost by that; "" for nothing. Raises StoreError or OSError: there is no copy, or the file
        can't be written.
        """
        kept = self._folder / path.name
        if not kept.exists():
            self._copy(path.with_name(path.name + BESIDE), path)
        layout, then = _look(kept, counting)
        mark = kept.with_name(kept.name + REPLACING)
        with owner_of(path.parent), closing(WriterLock(path)):
            try:
                now_layout, now = _look(path, counting, watched=True)
            except StoreBusyError:
                raise
            except StoreError:
                now_layout, now = None, None
            with as_root():
                if now_layout == layout and not mark.exists():
                    return ""
                mark.touch()
            _replace(path, kept)
        mark.unlink()
        return "an unknown number of" if now is None or then is None else str(now - then or "")

    def drop(self) -> None:
        """Remove all copies. Raises OSError: one can't be removed."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
            sync_directory(self._folder.parent)

    def _copy(self, source: Path, database: Path) -> None:
        whose = database.parent.stat()
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o750)
        kept = self._folder / database.name
        kept.unlink(missing_ok=True)
        with (
            translated(source),
            named_when_whole(kept) as (new, descriptor),
            closing(sqlite3.connect(new)) as copy,
        ):
            os.fchmod(descriptor, shared_in(database.parent) & ~stat.S_IWGRP)
            with suppress(PermissionError):
                os.chown(self._folder, -1, whose.st_gid)
                os.fchown(descriptor, -1, whose.st_gid)
            with (
                owner_of(source.parent),
                closing(WatchedReader(source, "nothing is kept")) as reader,
            ):
                read = reader.current()
                # From here on SQLite opens no file any more.
                read.execute("BEGIN")
                read.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                with as_root():
                    read.backup(copy)


def remove_made(path: Path, counting: str) -> str:
    """Remove a database that a trial has made where there was none, so that another is made.

    Returns how much of what `counting` numbers is lost by that; "" for nothing, also where there is
    no sound database, which is left. Raises StoreError or OSError.
    """
    if not path.exists():
        # By a lock the door would take it for a file that was lost.
        return ""
    with owner_of(path.parent), closing(WriterLock(path)):
        try:
            _, rows = _look(path, counting, watched=True)
        except StoreBusyError:
            raise
        except StoreError:
            return ""
        _remove(path, "", *_COMPANIONS)
        sync_directory(path.parent)
    return "an unknown number of" if rows is None else str(rows or "")


def copy_of(database: Path, release: Path) -> Path:
    """Return where a database's copy is while a release is on trial; `release` is any of them."""
    return release.parent.parent / FOLDER / database.name


def drop_beside(directory: Path) -> None:
    """Remove copies beside the databases: of a way back, or of a release up to 0.2; never fails."""
    with suppress(StoreError, OSError), owner_of(directory):
        for file in (*directory.glob(f"*.db{BESIDE}*"), *directory.glob(f"*.db{PUT_BACK}*")):
            with suppress(OSError):
                if STRANGE not in file.name:
                    file.unlink()


def clear_way(directory: Path) -> list[str]:
    """Rename what can't be what its name says: a folder, pipe, link, device where a file has to be.

    Nothing is followed or deleted. What has another name than our files have is left, and so is
    what is not of the directory's owner. The directory, and files in it that their owner may not
    write, become writable again. Returns a line about each thing that was found, and one about all
    above :data:`MOST_LISTED`. Never fails: what could not be renamed is told.
    """
    found: list[str] = []
    try:
        with owner_of(directory):
            owner = directory.stat()
            if owner.st_uid == os.geteuid():
                _permit(directory, owner, stat.S_IRWXU)
            for name in sorted(os.listdir(directory)):  # noqa: PTH208 - names, of any bytes
                found += _cleared(directory / name, owner.st_uid)
            sync_directory(directory)
    except FileNotFoundError:
        return []
    except (StoreError, OSError) as err:
        found.append(f"{directory} can't be looked through: {err.strerror or err}")
    more = len(found) - MOST_LISTED
    return [*found[:MOST_LISTED], *([f"and {more} more there"] if more > 0 else [])]


def _cleared(path: Path, owner: int) -> Iterator[str]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if status.st_uid != owner or STRANGE in path.name:
        return
    told = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    told = f"{path.parent}/{told[:MOST_NAME_CHARACTERS]}"
    if not _is_strange(path, status):
        if stat.S_ISREG(status.st_mode) and not _permit(path, status, _OWN):
            yield f"{told} can't be made writable"
        return
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something strange")
    aside = path.with_name(f"{path.name[:MOST_NAME_CHARACTERS]}{STRANGE}{token_hex(4)}")
    try:
        path.rename(aside)
    except OSError as err:
        yield f"{told} is {kind} and can't be renamed: {err.strerror}"
    else:
        yield f"{told} was {kind} and is now *{aside.name[-len(STRANGE) - 8 :]}"


def _is_strange(path: Path, status: os.stat_result) -> bool:
    kind = stat.S_IFMT(status.st_mode)
    if not _OURS.search(path.name):
        return False
    if kind == (stat.S_IFSOCK if path.suffix == ".sock" else stat.S_IFREG):
        # Our databases have no journal, and SQLite would not read one that has. No lock is taken on
        # a file of two names, and memory that is another file too may go away while it is read.
        alone = path.name.endswith((".lock", "-shm"))
        return path.name.endswith("-journal") or (alone and status.st_nlink != 1)
    # Somebody may have moved a database to another disk.
    return not (kind == stat.S_IFLNK and path.suffix == ".db" and path.is_file())


def _permit(path: Path, status: os.stat_result, least: int) -> bool:
    """Give a file's owner these rights; tells whether the owner has them."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & least != least:
        try:
            path.chmod(mode | least)
        except OSError:
            return False
    return True


def _look(path: Path, counting: str, *, watched: bool = False) -> tuple[int, int | None]:
    """Return a database's layout and the answer of `counting`, None if that can't be had."""
    with translated(path), _reader(path, watched=watched) as database:
        layout: int = database.execute("PRAGMA user_version").fetchone()[0]
        database.set_progress_handler(lambda: True, MOST_STEPS)
        count = None
        with suppress(sqlite3.OperationalError):
            count = database.execute(counting).fetchone()[0]
        return layout, count if isinstance(count, int) else None


@contextmanager
def _reader(path: Path, *, watched: bool) -> Iterator[sqlite3.Connection]:
    if watched:
        with closing(WatchedReader(path, "nothing is lost")) as reader:
            yield reader.current()
    else:
        with closing(open_unshared_reader(path)) as database:
            yield database


def _replace(path: Path, kept: Path) -> None:
    back = path.with_name(path.name + PUT_BACK)
    # A second name of the database itself would be written, and no rename would do anything.
    _remove(back, "", ".new")
    with (
        named_when_whole(back) as (_, descriptor),
        as_root(),
        kept.open("rb") as source,
        open(descriptor, "wb", closefd=False) as target,
    ):
        os.fchmod(descriptor, shared_in(path.parent) & ~stat.S_IWGRP)
        # As root: on a full disk some room is left for root alone.
        shutil.copyfileobj(source, target)
    _remove(path, *_COMPANIONS)
    back.replace(path)
    sync_directory(path.parent)


def _remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
