"""A door log on a disk that fails at chosen calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from doorctl.access.messages import Closed, Opened
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.errors import StoreError
from tests.fakes.memory_store import MemoryVisits

T = TypeVar("T")


@dataclass
class FailingVisits:
    """A `VisitLog` over a memory log; each of its calls is numbered from 0.

    Args:
        fails: tells of a call's number whether it fails; nothing is written or read then.
        inner: what is stored.
        calls: how many calls there were.
    """

    fails: Callable[[int], bool]
    inner: MemoryVisits = field(default_factory=MemoryVisits)
    calls: int = 0

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, or fail."""
        self._call(lambda: self.inner.open_attempt(opened))

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, or fail."""
        self._call(lambda: self.inner.close_attempt(closed))

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row, or fail."""
        return self._call(lambda: self.inner.card_throttle(row_key))

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket, or fail."""
        return self._call(self.inner.reader_throttle)

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs are on record, or fail."""
        return self._call(lambda: self.inner.wrong_pins(row_key, patron_ref))

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures, or fail."""
        self._call(lambda: self.inner.reset_card(row_key, patron_ref))

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, or fail."""
        return self._call(self.inner.last_attempt)

    def _call(self, do: Callable[[], T]) -> T:
        number, self.calls = self.calls, self.calls + 1
        if self.fails(number):
            raise StoreError("the disk was told to fail")
        return do()
