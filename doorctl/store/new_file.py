"""Creating a file that nobody else may read and that a power cut does not take away."""

from __future__ import annotations

import os
from pathlib import Path


def create_private(path: Path, content: bytes = b"") -> None:
    """Create a file with mode 0600 and make it and its name durable.

    Raises:
        FileExistsError: the path is taken, also by a dangling link; nothing was touched.
        OSError: the file can't be written; there is none then.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Make names that were added, changed or removed in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
