"""The interfaces between the application and the world, and their values.

An adapter for each stands in `devices`, `store`, `sources`, `notices`, `rpc` or `ops`; its fake
stands in `tests/fakes` and passes the same contract suite. What stands in `devices` costs small
commands 30 ms, so it is imported from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Protocol

from doorctl.access.calendar import Day
from doorctl.access.day import Override
from doorctl.access.patron import Patron, Reason
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.alarms import Urgency
from doorctl.core.errors import DoorctlError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import BootTime, ClockState, Moment

# The machine: its clocks, its log, the supervisor, the ways of alarms, its disk.


class Clock(Protocol):
    """The machine's clocks. Thread-safe."""

    def monotonic_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds: for pulses, time-outs and deadlines."""

    def boot_time(self) -> BootTime:
        """Return CLOCK_BOOTTIME: for what must survive a restart."""

    def moment(self) -> Moment:
        """Return the wall clock in the branch's time zone and how far it can be trusted."""


class EventLog(Protocol):
    """Takes the fixed log lines. Thread-safe, never blocks, never raises."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; keys that are not on the allow-list are left out."""


class Supervisor(Protocol):
    """The program that restarts the daemon (systemd). Never raises."""

    def ready(self) -> None:
        """Say that the daemon decides from now on."""

    def alive(self, within_s: float | None = None) -> None:
        """Feed the watchdog; only from a loop that has just proved that it works.

        Unless it is fed again within `within_s`, the process ends, even one that is stopped; None
        for the usual interval.
        """

    def stopping(self) -> None:
        """Say that the daemon is going down on purpose."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An alarm as it leaves the house; it names nobody.

    Args:
        id: 32 hex digits; the same for each try, so that a second copy can be told from news.
        at: when it was heard last, local time, aware; `clock` says how good that time is.
        times: how often it was heard since the last notice of this kind, at least 1.
        clears: the kind whose end this is, None for an alarm.
    """

    id: str
    branch: str
    kind: str
    urgency: Urgency
    at: datetime
    clock: ClockState
    why: str
    means: str
    act: str
    times: int = 1
    clears: str | None = None


class NotSentError(DoorctlError, ConnectionError):
    """An alarm did not reach the mail server, the webhook or the web process; it is tried again."""


class AlarmSink(Protocol):
    """One way by which alarms leave the house. One thread; may wait for its own time limit.

    Raises:
        NotSentError: it did not go, or nobody knows; the text says nothing of what was sent.
    """

    def send(self, notice: Notice) -> None:
        """Send one notice; return when the other end has taken it."""


class Disk(Protocol):
    """The disk that the databases are on. One thread; raises StoreError."""

    def free_bytes(self) -> int:
        """Return how many more bytes the daemon may write."""

    def prove_writable(self) -> None:
        """Write a little to the disk and to its medium, and delete it again."""


# The patron cache: sealing identifiers, looking patrons up, applying pushes.


class Sealer(Protocol):
    """Stretches an identifier into the key under which its row is kept. Thread-safe, slow."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K`` of the design's section 4; about 0.3 s on the smallest Pi."""


@dataclass(frozen=True, slots=True)
class CacheStamp:
    """The patron cache's own state, of which a sender can compare `patrons` with its export.

    Args:
        epoch: number of the last document applied; it only grows.
        applied_at: UTC, by whatever clock there was; None if there was none yet.
        minimum_age: the age that the rows' `enter_from` was computed for.
        patrons: how many identifiers it holds by a push.
    """

    epoch: int
    applied_at: datetime | None
    minimum_age: int
    patrons: int

    def age(self, now: Moment) -> timedelta | None:
        """Return how old the cache is; None where that is not known."""
        if self.applied_at is None or not now.dependable:
            return None
        return now.local - self.applied_at


class PatronLookup(Protocol):
    """The patron cache, read-only. All calls on one thread, except `version` (any one thread).

    Raises:
        StoreError: the cache is missing or can't be read; nobody can be let in by it.
    """

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push or `keep`."""

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, no disk."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One identifier's row as it is stored.

    Args:
        row_key: 16 bytes, which name the identifier to those who have the installation key.
        pin_changed: the day on which the patron last changed the PIN, None for not known: a check
            that was learnt on that day or before counts no more.
    """

    row_key: bytes = field(repr=False)
    patron: Patron
    pin_changed: date | None = None


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
    """The identifiers that a push is about to shut out, together with the pushes of a week.

    A row *opens* on a day where nothing in the row itself refuses then, by the branch's rules. An
    identifier that opened, and by a push of the last seven days does not on the very day of this
    push or one of the seven days after it, counts once as `shut_out` and under each reason that it
    gives now; as long as nobody has approved of it and no push has put it right again.

    Args:
        held: how many were held, with those that were removed within the week.
        shut_out: how many opened before and don't, are not held, or ask for another PIN.
        let_in: how many were held and did not open, and do so by this push alone.
        removed: of those shut out, how many are not held.
        newly_blocked: by a block code that the branch denies.
        newly_expired: because they are not active, past their last day or on hold.
        newly_restricted: because their data may not be used.
        newly_weak: because their PIN is too easy to guess.
        pins_lost: because there is no PIN to compare with any more.
    """

    held: int
    shut_out: int = 0
    let_in: int = 0
    removed: int = 0
    newly_blocked: int = 0
    newly_non_resident: int = 0
    newly_expired: int = 0
    newly_under_age: int = 0
    newly_restricted: int = 0
    newly_weak: int = 0
    pins_lost: int = 0
    pins_changed: int = 0


Guard = Callable[[Changes], str | None]
"""Raises `PushGuardedError` where the changes are not credible. Returns a message about credible
ones that staff must read, None for nothing."""


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
        approved: bool = False,
    ) -> Applied:
        """Apply rows in one durable transaction, or change nothing.

        Each `patron_ref` among the sealed `rows` is replaced with all its identifiers, and each in
        `removals`, which is read later, is removed with all of them. `applied_at` is UTC, by
        whatever clock there is, None for not known. `minimum_age` is the one that `enter_from` was
        computed for, and `guard` is called before the commit.

        Args:
            full: whether the rows are the whole register, so that everyone else is removed.
            push: None for the next number and no digest.
            approved: whether somebody has approved of it by name: the patrons whom it shuts out,
                and those shut out before, count for no later push.
        """

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date = date.min
    ) -> None:
        """Keep the library system's answer about one card, durably; the push held stays the same.

        Where a push has brought the card's row, only the PIN check is kept, and only if the push
        brought none. Else the whole row is kept until the next snapshot, or the next push that has
        it or its patron, at the longest until the end of `row_until`; if that push brings the card
        without a PIN check, this one stays with it. The same again changes nothing.

        Args:
            row: sealed here, with a PIN check.
            row_until: the last day on which a row that no push has brought counts. None where a
                push had brought it: if another has removed it meanwhile, nothing is kept.
            pin_until: the last day on which the PIN check counts for a row that a push brought.
            learnt_on: the day of the library system's answer; `date.min` for not known: then every
                change of the PIN in a push counts as a later one.

        Raises:
            RowsClashError: the cache was sealed otherwise, so no card would find the row.
        """

    def expire(self, confirmed_before: datetime) -> int:
        """Delete all rows if no push has come since a time, durably; return how many.

        The push that is held gets another number then, so that only a whole register can follow.
        Rows from the library system alone go by the day of its answer. `confirmed_before` is aware,
        and by a clock that can be trusted.
        """

    def forget(self, now: datetime) -> int:
        """Forget whom pushes shut out more than a week ago, durably; return how many cards.

        `now` is aware, and by a clock that can be trusted.
        """


# The branch's own data: bans, passes and opening hours.


@dataclass(frozen=True, slots=True)
class BanEntry:
    """A ban as staff see it listed; times are UTC.

    `card` is the first 8 hex digits of the row key, a pseudonym; None for a ban of the patron.
    `patron_ref` is the library system's opaque number; None for a ban of the card alone.
    """

    ban: Ban
    card: str | None
    patron_ref: str | None = field(repr=False)
    lifted_at: datetime | None = None

    def is_of_the_same(self, other: BanEntry) -> bool:
        """Tell whether both are of one patron or of one card."""
        same_patron = self.patron_ref is not None and self.patron_ref == other.patron_ref
        return same_patron or (self.card is not None and self.card == other.card)


@dataclass(frozen=True, slots=True)
class PassEntry:
    """A pass as staff see it listed; `card` is a pseudonym as in :class:`BanEntry`."""

    held: Pass
    card: str
    revoked_at: datetime | None = None


class DaySource(Enum):
    """Where the hours of a date come from."""

    CONFIG = "config"
    HOLIDAY = "holiday"
    STAFF = "staff"
    WEBSITE = "website"


@dataclass(frozen=True, slots=True)
class StoredDay:
    """The hours of one date from one source; `note` is for people ("Grundlovsdag")."""

    day: date
    spans: Day
    note: str = ""


@dataclass(frozen=True, slots=True)
class StoredDays:
    """All the hours from one source; days that are past stay for a month.

    `known_until` is the last date that the source covered, also by leaving it out; None where it
    only names exceptions. `fetched_at` is UTC.
    """

    source: DaySource
    days: tuple[StoredDay, ...]
    known_until: date | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class StoredCalendar:
    """The branch's stored hours; the calendar decides which source goes before which.

    `sources` has one entry for each source that ever had any hours.
    """

    sources: tuple[StoredDays, ...] = ()


class BranchBook(Protocol):
    """Bans, passes and hours, read-only. All calls on one thread, except `version` (any one).

    A branch that never stored any has none of them.

    Raises:
        StoreError: they are lost or can't be read; it is not known then who is banned.
    """

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes, not revoked, of a card or code, newest first, in force or not."""

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of the data about a card or its patron."""

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have reported; 0 for no patron."""

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban that is still stored, newest first, lifted and ended ones too."""

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass that is still stored, newest first, revoked and ended ones too."""

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit."""

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, no disk."""


class BranchWriter(Protocol):
    """The one writer of ``branch.db``. One thread; each call is one durable transaction.

    A change of bans or passes also deletes those that ended more than 30 days ago, where the clock
    is dependable.

    Raises:
        InputError: it makes no sense; nothing was changed.
        StoreError: nothing was changed.
    """

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it. One that is lifted or unknown is refused."""

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number.

        Refused where the code has one already or the card as many as it may, and where so many
        codes of that length are in force that one could be guessed.
        """

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it. One that is revoked or unknown is refused."""

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> StoredDays:
        """Replace all hours of a source from today on; return what is stored of it now.

        A date that is past or named twice is refused.
        """

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other; one that has ended already is refused."""

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand; return it. Where none is set, that is refused."""

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:
        """Replace the counts of patrons' wrong PINs at other branches, by patron number."""


# The door log: writing an attempt, purging, reading.


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
