"""A process that keeps a row and applies a push, one after the other, until it is killed.

``python -m tests.sync.applying patrons.db [LINE]``: with a line it kills itself when that line
of the first push is read for applying.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from doorctl.access.patron import SealedRow
from doorctl.core.ports import Seal
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.sync.receive import Staged, receive
from tests.store.samples import NOON
from tests.sync.pushes import SEAL, TERMS, Document, row, stage

ROWS = 3000
STORE_SEAL = Seal(SEAL.key_id, SEAL.memory_kib, SEAL.iterations)


class DeadlySpool(io.BytesIO):
    """A spool that kills the process when a line is read.

    `content`: what was staged; `line`: from 0.
    """

    def __init__(self, content: bytes, line: int) -> None:
        super().__init__(content)
        self._left = line

    def __next__(self) -> bytes:
        """Return a line, or die."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1
        return super().__next__()


def rows_of(epoch: int) -> Iterator[SealedRow]:
    """Yield the rows of a push: each says by a tag which one it is of."""
    for number in range(ROWS):
        yield tagged(row(number), epoch)


def tagged(sealed: SealedRow, epoch: int) -> SealedRow:
    """Return a row that says by a tag before which push it was made."""
    return replace(sealed, patron=replace(sealed.patron, tags=frozenset({str(epoch)})))


def push_of(epoch: int) -> Document:
    """Return a push that renews every row; odd ones are changes."""
    kind = "changes" if epoch % 2 else "snapshot"
    return Document(list(rows_of(epoch)), kind, epoch, epoch - 1)  # type: ignore[arg-type]


def apply(writer: PatronCacheWriter, staged: Staged) -> None:
    """Apply a push whatever it changes."""
    receive(staged, writer, TERMS, applied_at=NOON)


def main() -> None:
    """Say when applying a push begins and ends; go on for ever."""
    path = Path(sys.argv[1])
    with closing(PatronCacheWriter(path, STORE_SEAL)) as writer:
        while True:
            epoch = writer.held().epoch + 1
            staged = stage(push_of(epoch).data())
            if sys.argv[2:]:
                content = staged.spool.read() if staged.spool.seek(0) == 0 else b""
                staged = replace(staged, spool=DeadlySpool(content, int(sys.argv[2])))
            print("begin", epoch, flush=True)  # noqa: T201 - read by the test
            day = NOON.date()
            writer.keep(tagged(row(ROWS), epoch), row_until=day, pin_until=day)
            apply(writer, staged)
            print("end", epoch, flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
