"""Creating a file that nobody else may read and that a power cut does not take away."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_private(path: Path, content: bytes = b"") -> None:
    """Create a file with mode 0600 and make it and its name durable.

    Raises:
        FileExistsError: the path is taken, also by a dangling link; nothing was touched.
        OSError: the file can't be written; there is none then.
    """
    with named_when_whole(path) as (_, descriptor), open(descriptor, "wb", closefd=False) as file:
        file.write(content)


@contextmanager
def named_when_whole(path: Path) -> Iterator[tuple[Path, int]]:
    """Make a file as ``<name>.new`` in a block; it gets its name, durably, at the block's end.

    Whoever looks meanwhile, or after a power cut, sees all of it or nothing; what a process that
    was killed has left is written over. The block gets the file's present path, at which nothing
    stands yet, and its descriptor.

    Raises:
        FileExistsError: the path is taken, also by a dangling link; nothing was touched.
        BlockingIOError: another process is making it.
        OSError: the file can't be written; there is none then.
    """
    made = new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
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
    finally:
        os.close(descriptor)


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _remove_companions(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make names that were added, changed or removed in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
