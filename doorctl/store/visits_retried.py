"""The door log's writer where the door may not wait for it: opened again until it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from doorctl.access.reasons import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.moments import BootTime
from doorctl.ports import HourCount, Stamped
from doorctl.privacy.hold import Hold
from doorctl.store.visits import VisitStore, open_or_create_visits


class RetriedVisits:
    """A `VisitStore` to all who use one, whose every call first opens the file, if it is not open.

    A door that started without its log, so that :meth:`last_attempt` failed, counts attempts from
    1. What it puts on record later comes after the file's own last number, so there an attempt has
    another one than in its log line; in whichever order attempts come, none has one of before. A
    log that is taken away is begun anew: writing on into a file that nobody finds would lose every
    visit at the next start, unseen.

    Belongs to the thread that calls it first; each call raises what :class:`VisitStore` raises.

    Args:
        path: the database; made if it is missing.
        lost: hears that it was taken away, and how that is told.
        replaced: sets aside what stands in its place and is no door log.
    """

    def __init__(
        self,
        path: Path,
        lost: Callable[[str], None] = lambda _why: None,
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._lost = lost
        self._replaced = replaced
        self._store: VisitStore | None = None
        self._shift: int | None = None

    def open(self) -> VisitStore:
        """Open the log unless it is open.

        Raises:
            StoreBusyError: another process is the writer.
            StoreError: it can't be opened now.
        """
        if self._store is not None and not self._store.is_there():
            self._store.close()
            self._store = self._shift = None
            self._lost(
                f"{self._path.name} was taken away while the door runs, with all visits and wrong "
                "PINs in it, and another one is begun; ask who did it"
            )
            self._replaced()
        if self._store is None:
            self._store = open_or_create_visits(self._path)
        return self._store

    def open_attempt(
        self,
        attempt: int,
        at: Stamped,
        row_key: bytes | None,
        throttle: CardThrottle | None,
        whose: str | bytes | None = None,
    ) -> None:
        """Put an attempt on record."""
        store = self.open()
        if self._shift is None:
            self._shift = store.last_attempt()
        store.open_attempt(attempt + self._shift, at, row_key, throttle, whose)

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
        """Record how an attempt ended."""
        number = attempt + (self._shift or 0)
        self.open().close_attempt(
            number, reason, row_key, throttle, reader, counted_as=counted_as, right=right
        )

    def add_counts(self, counts: Iterable[HourCount]) -> None:
        """Add to the hourly counts."""
        self.open().add_counts(counts)

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row."""
        return self.open().card_throttle(row_key)

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket."""
        return self.open().reader_throttle()

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        return self.open().wrong_pins(row_key, patron_ref)

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's."""
        self.open().reset_card(row_key, patron_ref)

    def last_attempt(self) -> int:
        """Return the highest attempt number ever on record."""
        last = self.open().last_attempt()
        # Whoever has been told counts on from it.
        self._shift = self._shift or 0
        return last

    def keep_time(self, now: datetime, boot: BootTime, high_water: datetime | None = None) -> None:
        """Store the highest trusted time."""
        self.open().keep_time(now, boot, high_water)

    def delete_before(self, cutoff: datetime) -> int:
        """Delete what is from before a UTC time."""
        return self.open().delete_before(cutoff)

    def traces_before(self, cutoff: datetime) -> frozenset[bytes]:
        """Return the bytes that may stand nowhere after the deletion."""
        return self.open().traces_before(cutoff)

    def still_kept(self, traces: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some traces that a row holds now."""
        return self.open().still_kept(traces)

    def plant(self, canary: bytes, at: datetime) -> None:
        """Keep a canary."""
        self.open().plant(canary, at)

    def canaries(self) -> frozenset[bytes]:
        """Return the canaries that are kept now."""
        return self.open().canaries()

    def add_hold(self, hold: Hold) -> Hold:
        """Store a hold."""
        return self.open().add_hold(hold)

    def lift_hold(self, number: int) -> Hold:
        """Forget a hold."""
        return self.open().lift_hold(number)

    def end_holds(self, now: datetime) -> None:
        """Forget the holds whose end has come."""
        self.open().end_holds(now)

    def oldest(self) -> datetime | None:
        """Return the time of the oldest attempt that no hold spares."""
        return self.open().oldest()

    def held(self) -> int:
        """Return how many attempts a hold spares."""
        return self.open().held()

    def settle(self, now: datetime, boot: BootTime) -> None:
        """Date what lies after a time that is right."""
        self.open().settle(now, boot)

    def ahead(self, now: datetime) -> int:
        """Return how many attempts lie after a time."""
        return self.open().ahead(now)

    def compact(self) -> tuple[int, int, int]:
        """Rewrite the file without what was deleted."""
        return self.open().compact()

    def close(self) -> None:
        """Let the next writer in; idempotent."""
        if self._store is not None:
            self._store.close()
