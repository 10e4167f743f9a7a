"""What the application needs of the world, 1-6 methods each, and the values that cross.

An adapter for each stands in `devices`, `store`, `ops` or `transports`; its fake stands in
`tests/fakes` and passes the same contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from doorctl.access.calendar import Day
from doorctl.access.messages import LibraryAnswer
from doorctl.access.modes import Override
from doorctl.access.panel import PanelState
from doorctl.access.patron import Patron
from doorctl.access.reasons import Reason
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.alarms import Urgency, Words
from doorctl.door.indicator import Lamps
from doorctl.errors import DoorctlError
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


class Panel(Protocol):
    """The screen at the door, as the loop sees it. Never blocks, never raises."""

    def show(self, state: PanelState) -> None:
        """Show this from now on; whoever looks is told when they can."""


@dataclass(frozen=True, slots=True)
class PanelView:
    """What the screen shows, and a number that is another one after each change."""

    seq: int
    state: PanelState


class PanelDoor(Protocol):
    """The door, as the screen's page sees it. Thread-safe.

    Raises:
        NotAnsweringError: the door doesn't run, or it gave no answer in time.
        StoreError: it answered that it could not do it.
    """

    def look(self, after: int) -> PanelView:
        """Return what is shown as soon as its number is another, or after some 20 seconds.

        Args:
            after: the number of the view that is known; 0 for none.
        """

    def press(self, key: str, attempt: int) -> None:
        """Press a key that was meant for an attempt; it is kept nowhere.

        Args:
            key: ``0``-``9``, ``#`` or ``*``.
            attempt: the one of the view in which it was pressed; for any other it is void.

        Raises:
            InputError: that is no key.
        """


class EventLog(Protocol):
    """Where the fixed log lines go. Thread-safe, never blocks, never raises."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; keys that are not on the allow-list are left out."""


class Supervisor(Protocol):
    """Whoever restarts the daemon (systemd). Never raises."""

    def ready(self) -> None:
        """Say that the daemon decides from now on."""

    def alive(self, within_s: float | None = None) -> None:
        """Feed the watchdog; only from a loop that has just proved that it works.

        Args:
            within_s: when it will be fed again at the latest; None for the usual interval, which
                is never exceeded.
        """

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
        patrons: how many identifiers it holds by a push; a sender can compare it with its export.
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
        """Return the row of a 16-byte key, as of the last committed push or `keep`."""

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age."""

    def version(self) -> int:
        """Return a number that is another one after each commit; costs microseconds, no disk."""


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

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date = date.min
    ) -> None:
        """Keep what the library system said of one card, durably; the push held stays the same.

        Where a push has brought the card's row, only the PIN check is kept, and only if the push
        brought none. Else the whole row is kept until the next snapshot, or the next push that
        has it or its patron, at the longest until the end of `row_until`; if that push brings the
        card without a PIN check, this one stays with it. The same again changes nothing.

        Args:
            row: sealed here, with a PIN check.
            row_until: the last day on which a row that no push has brought counts. None where a
                push had brought it: if another has removed it meanwhile, nothing is kept.
            pin_until: the last day on which the PIN check counts for a row that a push brought.
            learnt_on: the day on which the library system was asked; `date.min` for not known:
                then every change of the PIN that a push tells of is taken for a later one.

        Raises:
            RowsClashError: the cache was sealed otherwise, so no card would find the row.
        """

    def expire(self, confirmed_before: datetime) -> int:
        """Delete all rows if no push has come since a time, durably; return how many.

        The push that is held gets another number then, so that only a whole register can follow.
        Rows that only the library system was asked for go by the day of its answer.

        Args:
            confirmed_before: aware, and by a clock that can be trusted.
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


class Library(Protocol):
    """What the door knows of the library system: somebody else asks it. One thread.

    It never raises, and nothing that fails behind it is the door's affair.
    """

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by its row key and its number; waits a second or two at the most."""

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have the patron cache's writer keep what was learnt; see `PatronWriter.keep`."""


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
        *,
        counted_as: str | None = None,
    ) -> None:
        """Record how an attempt ended, with the throttles as they stand after it.

        It is counted for the statistics under the mode `counted_as`; None counts nothing.
        """

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def reset_card(self, row_key: bytes) -> None:
        """Forget a card's failures: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


ATTEMPT = "attempt"
LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class HourCount:
    """How often something happened in an hour: all that is kept of visits for years.

    Args:
        hour: when it began, UTC; None where no clock could be trusted.
        mode: what the branch was; "unknown" where nobody knew.
        kind: :data:`ATTEMPT`, or :data:`LEAF` for what passed the door.
        outcome: an attempt's reason; or "entered" (persons), "left" or "passage".
        count: how often.
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


@dataclass(frozen=True, slots=True)
class Levels:
    """What the door's inputs say at one moment, unfiltered; None for what is not wired.

    Args:
        contact_open: the leaf is not in its frame.
        exit_pressed: somebody inside wants out.
        fire: the fire alarm's contact says so.
        other_door_open: the lobby's other leaf is not in its frame.
        failing: which pins can't be read and why; each has its level of `IN_DOUBT`.
    """

    contact_open: bool | None = None
    exit_pressed: bool | None = None
    fire: bool | None = None
    other_door_open: bool | None = None
    failing: str | None = None


IN_DOUBT = Levels(contact_open=True, exit_pressed=False, fire=True, other_door_open=True)
"""What a cut wire or a pin that can't be read counts as: what alarms, and what opens nothing."""


class Inputs(Protocol):
    """Door contact, exit button, fire alarm and the other door's contact. One thread.

    A wake-up tells that a level may have changed. One can be lost, so ask every second as well.
    """

    def levels(self) -> Levels:
        """Read all of them now; never raises and filters nothing: a bounce shows as it is."""


class Outputs(Protocol):
    """What is switched with the hours, by name: light, alarm arming, announcement. Idempotent.

    Raises:
        DeviceError: there is none of that name or it could not be switched; the others are as
            they were.
    """

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one of them."""


@dataclass(frozen=True, slots=True)
class BanEntry:
    """A ban as staff see it listed.

    Args:
        ban: with its number.
        card: the first 8 hex digits of the row key, a pseudonym; None for a ban of the patron.
        patron_ref: the library system's opaque number; None for a ban of the card alone.
        lifted_at: when staff lifted it, UTC; None if they did not.
    """

    ban: Ban
    card: str | None
    patron_ref: str | None = field(repr=False)
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PassEntry:
    """A pass as staff see it listed; `card` is a pseudonym as in :class:`BanEntry`."""

    held: Pass
    card: str
    revoked_at: datetime | None = None


class DaySource(Enum):
    """Who says what the hours of a date are."""

    CONFIG = "config"
    HOLIDAY = "holiday"
    STAFF = "staff"
    WEBSITE = "website"


@dataclass(frozen=True, slots=True)
class StoredDay:
    """What one source says of one date; `note` is for people ("Grundlovsdag")."""

    day: date
    spans: Day
    note: str = ""


@dataclass(frozen=True, slots=True)
class StoredDays:
    """All that one source says.

    Args:
        source: who says it.
        days: by date; days that are past stay for a month.
        known_until: the last date that the source spoke of, also by leaving it out; None where
            it only names exceptions.
        fetched_at: when it said so, UTC.
    """

    source: DaySource
    days: tuple[StoredDay, ...]
    known_until: date | None
    fetched_at: datetime


Week = tuple[Day, ...]
"""Seven days' spans, Monday first."""


@dataclass(frozen=True, slots=True)
class StoredCalendar:
    """The branch's stored hours; who goes before whom is the calendar's affair.

    Args:
        week: the table that staff edited; None while the configuration's counts.
        sources: one of each source that ever spoke.
    """

    week: Week | None = None
    sources: tuple[StoredDays, ...] = ()


class BranchBook(Protocol):
    """Bans, passes and hours, read-only. All calls on one thread, except `version` (any one).

    A branch that never stored any has none of them.

    Raises:
        StoreError: they are lost or can't be read; who is banned is not known then.
    """

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""

    def pass_of(self, row_key: bytes) -> Pass | None:
        """Return the latest pass of a card or code that was not revoked, in force or not."""

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of what is held of a card or its patron."""

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit."""

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""

    def setting(self, key: str) -> str | None:
        """Return a small fact that a process left for itself or another."""

    def version(self) -> int:
        """Return a number that is another one after each commit; costs microseconds, no disk."""


class RightsList(Protocol):
    """All bans and passes, for staff. One thread; raises StoreError."""

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban that is still stored, newest first, lifted and ended ones too."""

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass that is still stored, newest first, revoked and ended ones too."""


class RightsWriter(Protocol):
    """The one writer of bans and passes. One thread; each call is one durable transaction.

    A call also deletes what ended more than 30 days ago, where the clock is dependable.

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

        Refused where the card or code has one already, and where so many codes of that length
        are in force that one could be guessed.
        """

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it. One that is revoked or unknown is refused."""


class CalendarWriter(Protocol):
    """The one writer of hours and modes set by hand; as :class:`RightsWriter`."""

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> StoredDays:
        """Replace all that a source said of today and later; return what it says now.

        A date that is past or named twice is refused.
        """

    def set_week(self, week: Week | None, moment: Moment) -> None:
        """Replace the weekly table; None for the configuration's."""

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other; one that has ended already is refused."""

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand; return it. Where none is set, that is refused."""

    def keep_setting(self, key: str, value: str, moment: Moment) -> None:
        """Keep a small fact under a key."""


class BranchWriter(RightsWriter, CalendarWriter, Protocol):
    """The whole of ``branch.db`` to whoever may write it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An alarm as it leaves the house; it names nobody.

    Args:
        id: 32 hex digits; the same for each try, so that a second copy can be told from news.
        branch: the branch's name.
        kind: the alarm's name, which scripts rely on.
        at: when it was heard last, local time, aware.
        clock: how good that time is.
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
    means: Words
    act: Words
    times: int = 1
    clears: str | None = None


class NotSentError(DoorctlError, ConnectionError):
    """The mail server's, the webhook's or the road's: an alarm did not go; it is tried again."""


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
        """Return how many bytes the daemon may still write."""

    def prove_writable(self) -> None:
        """Write a little to it and to the medium below; nothing of that stays."""
