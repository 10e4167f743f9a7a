"""Ports to the door log: writing an attempt, purging, reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from doorctl.access.patron import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.moments import BootTime, ClockState


@dataclass(frozen=True, slots=True)
class Stamped:
    """When something happened: by the wall clock, with its quality, and by the boot clock."""

    utc: datetime
    state: ClockState
    boot: BootTime


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the door log; `verdict` and `reason` are None while an attempt is open.

    `attempt` only grows. `at` is the UTC time of the swipe, and `clock` says how good it is. `card`
    is the first 8 hex digits of the row key, a pseudonym; "code" for any issued code, None for an
    unreadable card.
    """

    attempt: int
    at: datetime
    clock: ClockState
    verdict: str | None
    reason: str | None
    card: str | None


class VisitLog(Protocol):
    """The door log's one writer: attempts, throttles, the clock's high-water mark. One thread.

    Each call is one durable transaction: what has returned survives a power cut.

    Raises:
        StoreError: nothing was written.
    """

    def open_attempt(
        self,
        attempt: int,
        at: Stamped,
        row_key: bytes | None,
        throttle: CardThrottle | None,
        whose: str | bytes | None = None,
    ) -> None:
        """Put an attempt on record, with the card's throttle as charged for it.

        A wrong PIN is charged to `whose` at once: a patron's number, or the row key of a card
        without a patron; None where no PIN is guessed.
        """

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
        """Record how an attempt ended, with the throttles as they stand after it.

        It is counted for the statistics under the mode `counted_as`; None counts nothing. The PIN
        that was charged was `right`, wrong, or not compared (None): only a wrong one stays.
        """

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record, in a row or not."""

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


ATTEMPT = "attempt"


LEAF = "leaf"

OPENED = "opened"
"""The first of `policy.first_card` came in; of no interest to statistics."""


@dataclass(frozen=True, slots=True)
class HourCount:
    """How often something happened in an hour: all that is kept of visits for years.

    Args:
        hour: when it began, UTC; None where no clock could be trusted.
        mode: of the branch; "unknown" where it was not known.
        kind: :data:`ATTEMPT`, :data:`LEAF` for what passed the door, or :data:`OPENED`.
        outcome: an attempt's reason; or "entered" (persons), "left" or "passage"; or "first".
    """

    hour: datetime | None
    mode: str
    kind: str
    outcome: str
    count: int


class HourlyReader(Protocol):
    """The hourly counts, read-only, from any process. One thread; raises StoreError."""

    def hours(self, since: datetime | None, until: datetime | None) -> Iterator[HourCount]:
        """Yield the counts from a UTC time on, up to another, oldest first; None for no bound."""


class VisitRetention(Protocol):
    """The purge's part of the door log. Same thread as the writer; raises StoreError."""

    def keep_time(self, now: datetime, boot: BootTime, high_water: datetime | None = None) -> None:
        """Date this boot's rows written before a trusted time (UTC), and store the highest.

        Rows of this boot whose clock was untrusted get `now` minus their age by `boot`, the boot
        clock at the same time. `high_water` is the highest time that has stood for a while; None
        where `now` has.
        """

    def delete_before(self, cutoff: datetime) -> int:
        """Delete attempts before a UTC time and throttles untouched since; return how many."""

    def compact(self) -> tuple[int, int, int]:
        """VACUUM, then ``wal_checkpoint(TRUNCATE)``; ``(0, 0, 0)`` says that all is gone."""


class VisitReader(Protocol):
    """The door log, read-only, from any process. One thread; raises StoreError."""

    def visits(self, not_before: datetime) -> Iterator[Visit]:
        """Yield attempts from a UTC time on, oldest first."""

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record, in a row or not."""

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""
