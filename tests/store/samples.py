"""Invented patrons, times and seals that the tests of the store share."""

from __future__ import annotations

import hashlib
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.access.calendar import DaySource, Mode, ModeSpan, Span, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Applied, Patron, Reason, SealedRow
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import CardThrottle
from doorctl.accounts.account import Account
from doorctl.accounts.roles import Role
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import Source
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped
from doorctl.core.ports import Seal
from doorctl.store.accounts import StoredAccounts
from doorctl.store.alarms import StoredAlarms
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.door_log import Visit, VisitHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.tables import to_ms
from doorctl.store.visits import VisitStore, create_visits
from doorctl.sync.guard import unguarded

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SEAL = Seal("0badcafe", 64, 1)
DAY = timedelta(days=1)
WHOLE = Patron(
    patron_ref="p-1001",
    pin_check=bytes(range(32)),
    resident=True,
    active=False,
    blocks=frozenset({"E", "", "two words", "æ"}),
    restricted=True,
    enter_from=date(2027, 2, 28),
    valid_until=date(9999, 12, 31),
    hold_from=date(2026, 1, 1),
    hold_until=date(2026, 12, 31),
    tags=frozenset({"self service", 'quo"te'}),
)
"""A patron of whom something stands in every field that a push brings."""


def key_of(number: int) -> bytes:
    """Return the row key of the card with an invented number."""
    return hashlib.sha256(b"card %d" % number).digest()[:16]


def sealed(number: int, patron_ref: str, *, resident: bool = True) -> SealedRow:
    """Return a sealed row with a PIN check."""
    check = hashlib.sha256(b"pin %d" % number).digest()
    return SealedRow(key_of(number), Patron(patron_ref, pin_check=check, resident=resident))


def push(writer: PatronCacheWriter, *listed: SealedRow, **other: Any) -> Applied:
    """Apply rows, or `rows`: the whole register at noon, for 15 years, unless told otherwise."""
    rows = other.pop("rows", listed)
    usual: Any = {"full": True, "applied_at": NOON, "minimum_age": 15, "guard": unguarded}
    return writer.apply(rows, **usual | other)


@dataclass
class Cache:
    """A cache's two sides."""

    lookup: PatronCache
    writer: PatronCacheWriter

    def push(
        self, *rows: SealedRow, full: bool = False, at: datetime = NOON, **other: Any
    ) -> Applied:
        """Apply rows, as changes unless told otherwise."""
        return push(self.writer, *rows, full=full, applied_at=at, **other)

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self.writer.path

    def filled(self, *rows: SealedRow) -> Cache:
        """Let another writer put in the whole register, and end."""
        self.writer.close()
        self.writer = PatronCacheWriter(self.path, SEAL)
        self.push(*rows, full=True)
        self.writer.close()
        return self

    def find(self, number: int) -> Patron | None:
        """Look up the card with an invented number."""
        return self.lookup.find(key_of(number))

    def known(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return those of the cards that are held, with their patrons' numbers."""
        return {n: found.patron_ref for n in numbers if (found := self.find(n))}

    def bytes(self) -> bytes:
        """Return all that lies in the directory."""
        return b"".join(files_of(self.writer.path.parent).values())


@contextmanager
def reading(path: Path, table: str) -> Iterator[None]:
    """Let somebody be in the middle of a question to a database."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        yield


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def stamped(
    at: datetime = NOON, boot: BootTime | None = None, state: ClockState = ClockState.TRUSTED
) -> Stamped:
    """Return the time of an attempt."""
    return Stamped(at, state, boot or BootTime("boot-1", 60_000))


EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Log:
    """A door log as written and as read."""

    path: Path
    make: Callable[[Path], VisitStore] = VisitStore

    def __post_init__(self) -> None:
        create_visits(self.path)
        self.store, self.history = self.make(self.path), VisitHistory(self.path)

    def restart(self) -> None:
        """Cut the power, and start another process."""
        self.store.close()
        self.store = self.make(self.path)

    def listed(self, not_before: datetime = EVER) -> list[Visit]:
        """Return what a reader sees."""
        return list(self.history.visits(not_before))

    def numbers(self) -> list[int]:
        """Return the numbers of what a reader sees."""
        return [visit.attempt for visit in self.listed()]

    def dated(self) -> dict[int, tuple[datetime, ClockState]]:
        """Return when a reader sees each attempt, and by what clock."""
        return {visit.attempt: (visit.at, visit.clock) for visit in self.listed()}

    def open(
        self,
        number: int,
        at: datetime = NOON,
        card: int | None = None,
        throttle: CardThrottle | None = None,
        whose: str | bytes | None = None,
        *,
        boot: BootTime | None = None,
        state: ClockState = ClockState.TRUSTED,
    ) -> None:
        """Open an attempt, with the card of a number."""
        key = None if card is None else key_of(card)
        self.store.open_attempt(Opened(number, stamped(at, boot, state), key, throttle, whose))

    def wrong_pin(self, number: int, whose: str | bytes) -> None:
        """Put a wrong PIN on record."""
        self.open(number, NOON, 1, None, whose)
        self.store.close_attempt(Closed(number, Reason.WRONG_PIN, right=False))

    def counted(
        self, number: int, reason: Reason = Reason.OK, mode: str | None = "self_service", **at: Any
    ) -> None:
        """Open an attempt with a card and close it, counted under a mode."""
        self.open(number, card=number, **at)
        self.store.close_attempt(Closed(number, reason, key_of(number), counted_as=mode))

    def failures(self, card: int) -> CardThrottle:
        """Return what the card of a number has failed."""
        return self.store.card_throttle(key_of(card))

    def close(self) -> None:
        """Close both sides."""
        self.store.close()
        self.history.close()


def in_use_until(branch: BranchRecordsWriter, moment: Moment) -> None:
    """Let a file that was written before be as after a write at this time."""
    last = (str(to_ms(moment.local)), "deleted_by_ms")
    assert branch.database.execute("UPDATE settings SET value = ? WHERE key = ?", last).rowcount


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the raw bytes of every file in a directory, lock files too."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


LOCAL = NOON.astimezone(ZoneInfo("Europe/Copenhagen"))
TODAY = LOCAL.date()
BAN = Ban(
    number=0,
    reason="smoked; æ 'quoted' \"twice\"",
    since=NOON - DAY,
    until=NOON + DAY,
    by="staff-7",
    branches=frozenset({"oest", "syd"}),
    note="Dear patron,\nyou may not come in.",
)
PASS = Pass(
    number=0,
    kind=PassKind.ASSOCIATION,
    first_day=TODAY,
    last_day=TODAY + DAY,
    weekdays=frozenset({1, 3}),
    from_minute=18 * 60,
    to_minute=26 * 60,
    outside_hours=True,
    needs_pin=True,
    pin_check=bytes(range(32)),
    companions_max=9,
    label="Skakklubben, Tuesdays",
    more_times=(Span(0, 60), Span(1439, 1440)),
)
CODE = Pass(0, PassKind.CLASS, TODAY, TODAY + DAY, needs_pin=False, code_digits=6, label="4. b")
LOCKDOWN = Override(Mode.LOCKDOWN, NOON + DAY, "a fight", "staff-7")
WEEK = StoredWeek(((ModeSpan(Mode.STAFFED, 600, 1080),), *((),) * 6))
EVENING = (ModeSpan(Mode.STAFFED, 600, 1020), ModeSpan(Mode.SELF_SERVICE, 1020, 1500))


def at(days: float = 0, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return the moment so many days after a noon; an unset clock's mark is that noon."""
    then = NOON + days * DAY
    mark = NOON if state is ClockState.UNTRUSTED else then
    return Moment(then.astimezone(LOCAL.tzinfo), mark, state)


NOW = at()
UNSET = Moment(LOCAL.replace(year=2031), NOON - 100 * DAY, ClockState.UNTRUSTED)


@dataclass
class Branch:
    """A branch's two sides, and short words for what most tests do with them."""

    book: BranchRecords
    writer: BranchRecordsWriter

    def ban(self, number: int | None = 1, ref: str | None = "p-1", **changes: Any) -> Ban:
        """Ban the card of a number, and a patron."""
        key = None if number is None else key_of(number)
        return self.writer.ban(replace(BAN, **changes), NOW, row_key=key, patron_ref=ref)

    def issue(self, held: Pass = PASS, number: int = 1, moment: Moment = NOW) -> Pass:
        """Issue a pass for the card of a number."""
        return self.writer.issue(held, moment, row_key=key_of(number))

    def says(self, source: DaySource, *offsets: int, moment: Moment = NOW) -> None:
        """Let a source say which days are evenings."""
        days = [StoredDay(TODAY + offset * DAY, EVENING, f"day {offset}") for offset in offsets]
        self.writer.set_days(source, days, moment, known_until=TODAY + 14 * DAY)

    def touch(self, *days: float, moment: Moment | None = None) -> None:
        """Write what changes nothing, on each of these days or at a moment."""
        for then in [moment] if moment else map(at, days):
            self.writer.set_days(DaySource.WEBSITE, (), then, known_until=None)

    def fill(self) -> None:
        """Store one of each."""
        self.ban()
        self.issue()
        self.writer.set_override(LOCKDOWN, NOW)
        for source in (DaySource.STAFF, DaySource.CONFIG):
            self.writer.set_days(source, [StoredDay(TODAY, EVENING)], NOW, known_until=None)
        self.writer.set_week(WEEK, NOW)
        StoredAccounts(self.writer).keep(Account("kaj", "Kaj", Role.TECHNICIAN), NOW)
        StoredAlarms(self.writer).hear(AlarmRecord("stalled", Source.DOOR, NOON, NOON, 1, ""), NOW)


UNTIL = NOON.date() + 30 * DAY


def bare(number: int, patron_ref: str) -> SealedRow:
    """Return a sealed row without a PIN check."""
    return SealedRow(key_of(number), Patron(patron_ref, resident=True))


def rows_of(*cards: tuple[int, str]) -> list[SealedRow]:
    """Return sealed rows of cards' numbers and patrons."""
    return [sealed(number, patron_ref) for number, patron_ref in cards]


def check_of(number: int) -> bytes:
    """Return the PIN check of a card's sealed row."""
    check = sealed(number, "").patron.pin_check
    assert check is not None
    return check
