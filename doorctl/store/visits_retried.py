"""The door log's writer where the door may not wait for it: opened again until it can be."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from doorctl.access.reasons import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.moments import BootTime
from doorctl.ports import Stamped
from doorctl.store.visits import VisitStore, open_or_create_visits


class RetriedVisits:
    """A `VisitLog` and `VisitRetention` whose every call first opens the file, if it is not open.

    A door that started without its log began to count attempts at 1. What it puts on record later
    comes after the file's own last number, so there an attempt can have another one than in its
    log line.

    Belongs to the thread that calls it first; each call raises what :class:`VisitStore` raises.

    Args:
        path: the database; made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: VisitStore | None = None
        self._shift: int | None = None

    def open(self) -> VisitStore:
        """Open the log unless it is open.

        Raises:
            StoreBusyError: another process is the writer.
            StoreError: it can't be opened now.
        """
        if self._store is None:
            self._store = open_or_create_visits(self._path)
        return self._store

    def open_attempt(
        self, attempt: int, at: Stamped, row_key: bytes | None, throttle: CardThrottle | None
    ) -> None:
        """Put an attempt on record."""
        store = self.open()
        if self._shift is None:
            self._shift = max(0, store.last_attempt() + 1 - attempt)
        store.open_attempt(attempt + self._shift, at, row_key, throttle)

    def close_attempt(
        self,
        attempt: int,
        reason: Reason,
        row_key: bytes | None = None,
        throttle: CardThrottle | None = None,
        reader: ReaderThrottle | None = None,
    ) -> None:
        """Record how an attempt ended."""
        self.open().close_attempt(attempt + (self._shift or 0), reason, row_key, throttle, reader)

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row."""
        return self.open().card_throttle(row_key)

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket."""
        return self.open().reader_throttle()

    def reset_card(self, row_key: bytes) -> None:
        """Forget a card's failures."""
        self.open().reset_card(row_key)

    def last_attempt(self) -> int:
        """Return the highest attempt number ever on record."""
        return self.open().last_attempt()

    def keep_time(self, high_water: datetime, boot: BootTime) -> None:
        """Store the highest trusted time."""
        self.open().keep_time(high_water, boot)

    def delete_before(self, cutoff: datetime) -> int:
        """Delete what is from before a UTC time."""
        return self.open().delete_before(cutoff)

    def compact(self) -> tuple[int, int, int]:
        """Rewrite the file without what was deleted."""
        return self.open().compact()

    def close(self) -> None:
        """Let the next writer in; idempotent."""
        if self._store is not None:
            self._store.close()
