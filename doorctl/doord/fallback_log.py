"""The door goes on when its log can't be written: a full or failing disk keeps nobody out.

The outage is alarmed once, and attempts during it are not on record. Guesses are still counted, in
memory, and stored with the card's next attempt that can be. A restart before that forgets them,
and a count that can't be read starts at zero. This holds for failures in a row only: wrong PINs
that no right PIN clears are counted again once the disk works.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from doorctl.access.patron import Reason
from doorctl.access.ports import VisitLog
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.errors import StoreError
from doorctl.core.moments import Stamped
from doorctl.core.ports import EventLog

KEPT_CARDS = 10_000
"""Most cards whose failures are kept in memory; an evening sees a few hundred, and it is 2 MB."""

T = TypeVar("T")


class SteadyVisitLog:
    """A `VisitLog` that never raises `StoreError`; same thread rules as the log that it wraps."""

    def __init__(self, inner: VisitLog, log: EventLog) -> None:
        self._inner = inner
        self._log = log
        self._failing = False
        self._cards: OrderedDict[bytes, CardThrottle] = OrderedDict()
        self._reader: ReaderThrottle | None = None
        self._last_attempt = 0

    def open_attempt(
        self,
        attempt: int,
        at: Stamped,
        row_key: bytes | None,
        throttle: CardThrottle | None,
        whose: str | bytes | None = None,
    ) -> None:
        """Put an attempt on record, or at least keep its charge in memory."""
        self._last_attempt = max(self._last_attempt, attempt)
        stored = self._tried(
            lambda: self._inner.open_attempt(attempt, at, row_key, throttle, whose)
        )
        self._note(row_key, throttle, stored=stored)

    def close_attempt(
        self,
        attempt: int,
        reason: Reason,
        row_key: bytes | None = None,
        throttle: CardThrottle | None = None,
        reader: ReaderThrottle | None = None,
        *,
        counted_as: str | None = None,
        right: bool | None = None,
    ) -> None:
        """Record an outcome, or at least keep its cost in memory."""
        stored = self._tried(
            lambda: self._inner.close_attempt(
                attempt, reason, row_key, throttle, reader, counted_as=counted_as, right=right
            )
        )
        self._note(row_key, throttle, stored=stored)
        if reader is not None:
            self._reader = None if stored else reader

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures, from memory where they could not be stored."""
        kept = self._cards.get(row_key)
        if kept is not None:
            return kept
        return self._read(lambda: self._inner.card_throttle(row_key), CardThrottle())

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket, from memory where it could not be stored."""
        if self._reader is not None:
            return self._reader
        return self._read(self._inner.reader_throttle, ReaderThrottle())

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are stored and can be read."""
        return self._read(lambda: self._inner.wrong_pins(row_key, patron_ref), 0)

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's.

        Raises:
            StoreError: it could not be stored; staff see the error and try again.
        """
        self._inner.reset_card(row_key, patron_ref)
        self._cards.pop(row_key, None)

    def last_attempt(self) -> int:
        """Return the highest attempt number, at least of those that this process has seen."""
        return max(self._last_attempt, self._read(self._inner.last_attempt, 0))

    def _tried(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except StoreError as err:
            self._raise_alarm(str(err))
            return False
        if self._failing:
            self._failing = False
            self._log.emit("alarm", kind="visit_log_cleared")
        return True

    def _read(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except StoreError as err:
            self._raise_alarm(str(err))
            return otherwise

    def _raise_alarm(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            self._log.emit("alarm", kind="visit_log_failing", why=why)

    def _note(self, row_key: bytes | None, throttle: CardThrottle | None, *, stored: bool) -> None:
        if row_key is None or throttle is None:
            return
        if stored:
            self._cards.pop(row_key, None)
            return
        self._cards[row_key] = throttle
        self._cards.move_to_end(row_key)
        if len(self._cards) > KEPT_CARDS:
            self._cards.popitem(last=False)
