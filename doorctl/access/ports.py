"""The door log and the library system, as the door and the services see them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol

from doorctl.access.messages import LibraryReply
from doorctl.access.patron import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.masked import Identifier, Pin
from doorctl.core.moments import Stamped


class VisitReader(Protocol):
    """What the door log holds of wrong PINs. One thread; raises StoreError."""

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record, in a row or not."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt as it is put on record, with the card's `throttle` as charged for it.

    A wrong PIN is charged to `whose` at once: a patron's number, or the row key of a card without a
    patron; None where no PIN is guessed.
    """

    attempt: int
    at: Stamped
    row_key: bytes | None = field(repr=False)
    throttle: CardThrottle | None
    whose: str | bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """How an attempt ended, with the throttles as they stand after it.

    It is counted under the mode `counted_as`, None for not at all. The charged PIN was `right`,
    wrong, or not compared (None): only a wrong one stays.
    """

    attempt: int
    reason: Reason
    row_key: bytes | None = field(default=None, repr=False)
    throttle: CardThrottle | None = None
    reader: ReaderThrottle | None = None
    _: KW_ONLY
    counted_as: str | None = None
    right: bool | None = None


class VisitLog(VisitReader, Protocol):
    """The door log's one writer: attempts, throttles, the clock's high-water mark. One thread.

    What has returned survives a power cut. StoreError: nothing was written.
    """

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, with what is charged for it."""

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, with the throttles as they stand after it."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    LibrarySystemError: no answer that can be read in time; `spent` says if it may have counted.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never ``YES`` to an empty PIN or by default; ``WAITS`` where the patron is locked out there.
        """
