"""One writer a database, in one process: a lock file that a dead process can't leave locked."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from doorctl.errors import StoreBusyError, StoreError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WriterLock:
    """Hold ``<database>.lock`` from construction to :meth:`close`; the kernel lets go if we die.

    The file stays: removing it would let two processes lock two files of the same name.

    Raises:
        StoreBusyError: another writer holds it, in this process or another.
        StoreError: the lock file can't be opened, or is a link to, or the name of, something else.
    """

    def __init__(self, database: Path) -> None:
        lock = database.with_name(f"{database.name}.lock")
        try:
            self._descriptor = os.open(lock, _FLAGS, 0o600)
        except OSError as error:
            raise StoreError(f"{lock} can't be opened: {error.strerror}") from error
        try:
            _refuse_other(lock, os.fstat(self._descriptor))
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _refuse_other(lock: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise StoreError(f"{lock} is not a file of its own; see what it is, and remove it")
