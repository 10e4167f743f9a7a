"""What the application needs of the world, 1-6 methods each, and the values that cross.

An adapter for each stands in `devices`, `store`, `ops` or `transports`; its fake stands in
`tests/fakes` and passes the same contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from doorctl.access.messages import LibraryAnswer
from doorctl.access.patron import Patron
from doorctl.access.reasons import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.door.indicator import Lamps
from doorctl.masked import Identifier, Pin, StretchedKey
from doorctl.moments import BootTime, ClockState, Moment


class Clock(Protocol):
    """The machine's clocks. Thread-safe."""

    def monotonic_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds: for pulses, time-outs and deadlines."""

    def boot_time(self) -> BootTime:
        """Return CLOCK_BOOTTIME: for what must survive a restart."""

    def moment(self) -> Moment:
        """Return the wall clock in the branch's time zone and how far it can be trusted."""


class Relay(Protocol):
    """The strike's relay. One thread; both calls are idempotent.

    Raises:
        DeviceError: the output could not be driven.
    """

    def energise(self) -> None:
        """Let the door be opened."""

    def de_energise(self) -> None:
        """Lock the door."""


class Signals(Protocol):
    """Lamps and buzzer at the reader. One thread; an output that is not wired is left out.

    Raises:
        DeviceError: an output could not be driven.
    """

    def show(self, lamps: Lamps) -> None:
        """Switch all of them to the given state."""


class EventLog(Protocol):
    """Where the fixed log lines go. Thread-safe, never blocks, never raises."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; keys that are not on the allow-list are left out."""


class Supervisor(Protocol):
    """Whoever restarts the daemon (systemd). Never raises."""

    def ready(self) -> None:
        """Say that the daemon decides from now on."""

    def alive(self) -> None:
        """Feed the watchdog; only from a loop that has just proved that it works."""

    def stopping(self) -> None:
        """Say that the daemon is going down on purpose."""


class Sealer(Protocol):
    """Stretches an identifier into the key under which its row is kept. Thread-safe, slow."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K`` of the design's section 4; about 0.3 s on the smallest Pi."""


@dataclass(frozen=True, slots=True)
class CacheStamp:
    """What the patron cache says of itself.

    Args:
        epoch: number of the last document applied; it only grows.
        applied_at: when, UTC, by whatever clock there was; None if there was none yet.
        minimum_age: the age that the rows' `enter_from` was computed for.
        patrons: how many identifiers it holds.
    """

    epoch: int
    applied_at: datetime | None
    minimum_age: int
    patrons: int


class PatronLookup(Protocol):
    """The patron cache, read-only. All calls on one thread, except `version` (any one thread).

    Raises:
        StoreError: the cache is missing or can't be read; nobody can be let in by it.
    """

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push."""

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age."""

    def version(self) -> int:
        """Return a number that is another one after each commit; costs microseconds, no disk."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One identifier's row as it is stored."""

    row_key: bytes = field(repr=False)
    patron: Patron


@dataclass(frozen=True, slots=True)
class Applied:
    """What a push did: the new epoch and how many identifiers are now held."""

    epoch: int
    rows: int
    removed: int


@dataclass(frozen=True, slots=True)
class Push:
    """Which push the cache holds: its number and the SHA-256 of its rows in hex.

    The digest is empty for a feed that was loaded on this machine.
    """

    epoch: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What applying a push is about to change, in identifiers.

    Args:
        held: how many were held before.
        removed: how many are not held afterwards.
        newly_blocked: how many had no block code before and have one afterwards.
        newly_non_resident: how many were resident before and are not afterwards.
    """

    held: int
    removed: int
    newly_blocked: int
    newly_non_resident: int


Guard = Callable[[Changes], None]
"""Raises `PushGuardedError` where the changes are not to be believed."""


class PatronWriter(Protocol):
    """The one writer of the patron cache. One thread.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: nothing was changed.
    """

    def held(self) -> Push:
        """Return the push that the cache holds; epoch 0 for none."""

    def apply(
        self,
        rows: Iterable[SealedRow],
        *,
        full: bool,
        applied_at: datetime | None,
        minimum_age: int,
        guard: Guard,
        removals: Iterable[str] = (),
        push: Push | None = None,
    ) -> Applied:
        """Apply rows in one durable transaction, or change nothing.

        Args:
            rows: sealed rows; each `patron_ref` among them is replaced with all its identifiers.
            full: whether they are the whole register, so that everyone else is removed.
            applied_at: UTC, by whatever clock there is; None for not known.
            minimum_age: what `enter_from` was computed for.
            guard: asked before the commit.
            removals: each `patron_ref` that is removed with all its identifiers; read after `rows`.
            push: the push's number and digest; None for the next number and no digest.
        """

    def keep(self, row: SealedRow, *, row_until: date, pin_until: date) -> None:
        """Keep what the library system said of one card, durably; the push held stays the same.

        Where a push has brought the card's row, only the PIN check is kept, and only if the push
        brought none. Else the whole row is kept until the next snapshot, or the next push that
        has it, at the longest until the end of `row_until`.

        Args:
            row: sealed here, with a PIN check.
            row_until: the last day on which a row that no push has brought counts.
            pin_until: the last day on which the PIN check counts for a row that a push brought.
        """


@dataclass(frozen=True, slots=True)
class LibraryPatron:
    """What the library system knows of a patron, as far as the door may know it.

    Args:
        patron_ref: its opaque number, as text; the same as in a feed where both have one.
        active: the identifier that was asked about is in force.
    """

    patron_ref: str
    resident: bool
    active: bool
    birthday: date | None = field(repr=False)
    blocks: frozenset[str]
    valid_until: date | None
    hold_from: date | None
    hold_until: date | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class LibraryReply:
    """The library system's answer; `patron` only where it is yes and the row was wanted."""

    answer: LibraryAnswer
    patron: LibraryPatron | None = None


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    Raises:
        LibrarySystemError: it was not reached, or gave no answer that can be read in time;
            `spent` says whether it may have counted a wrong PIN.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never says yes to an empty PIN, to an answer that leaves anything open, or by default.
        The answer is ``YES``, ``NO`` or, where the library system has locked the patron out,
        ``WAITS``.
        """


@dataclass(frozen=True, slots=True)
class Stamped:
    """When something happened: the wall clock's word, its quality, and the boot clock's."""

    utc: datetime
    state: ClockState
    boot: BootTime


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the door log; `verdict` and `reason` are None while an attempt is open.

    Args:
        attempt: its number; it only grows.
        at: when the card was swiped, UTC.
        clock: how good that time is.
        card: the first 8 hex digits of the row key: a pseudonym; None for an unreadable card.
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
        self, attempt: int, at: Stamped, row_key: bytes | None, throttle: CardThrottle | None
    ) -> None:
        """Put an attempt on record, with the card's throttle as charged for it."""

    def close_attempt(
        self,
        attempt: int,
        reason: Reason,
        row_key: bytes | None = None,
        throttle: CardThrottle | None = None,
        reader: ReaderThrottle | None = None,
    ) -> None:
        """Record how an attempt ended, with the throttles as they stand after it."""

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def reset_card(self, row_key: bytes) -> None:
        """Forget a card's failures: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


class VisitRetention(Protocol):
    """What the purge needs of the door log. Same thread as the writer; raises StoreError."""

    def keep_time(self, high_water: datetime, boot: BootTime) -> None:
        """Store the highest trusted time (UTC) and date this boot's rows written before it.

        Rows of this boot whose clock was untrusted get `high_water` minus their age by `boot`.
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

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Raw bytes of a serial line; personal data, so never shown."""

    line: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LineConnected:
    """A serial line was opened and what lay in its buffers was dropped."""

    line: str


@dataclass(frozen=True, slots=True)
class LineLost:
    """A serial line could not be opened or was unplugged; it is tried again by itself."""

    line: str
    why: str


LineEvent = BytesReceived | LineConnected | LineLost
