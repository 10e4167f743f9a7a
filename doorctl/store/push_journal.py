"""The journal of pushes that the audit log still lacks: a small file beside the register."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from doorctl.core.errors import StoreError
from doorctl.store.connection import sync_directory, write_over
from doorctl.sync.document import Kind
from doorctl.sync.receive import Push

MOST_OWED = 1000
"""Ten days of a push each quarter of an hour; by then the audit log's failure has been reported."""


@dataclass(frozen=True, slots=True)
class Applying:
    """A push that is about to be committed, or was."""

    epoch: int
    digest: str
    kind: Kind
    lines: int
    approved_by: str | None

    @property
    def push(self) -> Push:
        """The push that the cache holds once this is committed."""
        return Push(self.epoch, self.digest)


@dataclass(frozen=True, slots=True)
class _Entry:
    applying: Applying
    committed: bool


class PushJournal:
    """Keep the pushes that the audit log is owed. One thread.

    A file that is no journal, as after a disk has failed, counts as none: patrons must not wait.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, applying: Applying, held: Push) -> None:
        """Record, durably, that a push is about to be committed."""
        # Of those that were about to be, one is held now; the others were given up.
        kept = [_Entry(owed, committed=True) for owed in self.owed(held)]
        self._write([*kept, _Entry(applying, committed=False)][-MOST_OWED:])

    def owed(self, held: Push) -> tuple[Applying, ...]:
        """Return the committed pushes that are not in the audit log, oldest first."""
        return tuple(
            entry.applying
            for entry in self._read()
            if entry.committed or entry.applying.push == held
        )

    def noted(self, applying: Applying) -> None:
        """Forget a push that is in the audit log, durably."""
        self._write([entry for entry in self._read() if entry.applying != applying])

    def _read(self) -> list[_Entry]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=list[_Entry])
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return []
        except OSError as err:
            raise StoreError(f"{self.path} can't be read: {err.strerror}") from err

    def _write(self, entries: list[_Entry]) -> None:
        try:
            if entries:
                write_over(self.path, msgspec.json.encode(entries))
            else:
                self.path.unlink(missing_ok=True)
                sync_directory(self.path.parent)
        except OSError as err:
            raise StoreError(f"{self.path} can't be written: {err.strerror}; make room") from err
