"""Bans, passes and hours, read-only: what the door and the staff pages look up.

A branch without a file has none of them. But a file that was there and is gone, or can't be
read, is an error: without it every ban would be forgotten. So a damaged file is left in place and
not set aside, and no empty one replaces it by itself. For a moment the door goes by the file that
it read last: see `WatchedReader`.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from operator import index
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import orjson

from doorctl.access.calendar import (
    Day,
    DaySource,
    Mode,
    ModeSpan,
    Span,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.access.day import Override
from doorctl.access.rights import (
    MIN_CODE_DIGITS,
    Ban,
    HeldT,
    Listed,
    Pass,
    PassKind,
    guessable,
)
from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.moments import Moment
from doorctl.privacy.tables import BRANCH, Table
from doorctl.store import tables
from doorctl.store.concerned import InDoubtError, numbers_of
from doorctl.store.connection import LOOP_PATIENCE_MS, Lasting, WatchedReader, translated
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.layout import Layout, releases
from doorctl.store.tables import (
    create_tables,
    from_ms,
    maybe,
    of_database,
    select,
    to_ms,
    whole,
)

# The tables of ``branch.db``: their migrations, and each record as a row and back.
#
# A card or code is stored under its row key, a patron under the library system's opaque number.

FACTOR_KEY = "second_factor.key"
"""The file with the key that seals the secrets of authenticator apps, so that no copy of
``branch.db`` holds them in the clear. With a backup that lacks it only the recovery codes work."""


BANS = tables.BANS.but("row_key", "patron_ref", "lifted_ms")
"""The columns of a ban, in the order of :func:`to_ban`."""

PASSES = tables.PASSES.but("row_key", "revoked_ms")
"""The columns of a pass, named as its fields, in the order of :func:`to_pass`."""

_PASS_FIELDS = PASSES.split(", ")

OVERRIDES = tables.OVERRIDES.but("number", "set_ms", "ended_ms", "ended_by")
"""The columns of an override, in the order of :func:`to_override`."""


def _first_release(database: sqlite3.Connection) -> None:
    """Lay out all tables, and draw their salts."""
    create_tables(database, of_database(BRANCH), (0, 2))
    for table, size in (("tombstone_salt", 16), ("sign_in_salt", 32)):
        database.execute(f"INSERT INTO {table} VALUES (1, ?)", (secrets.token_bytes(size),))  # noqa: S608 -- ours


migrations = Layout("branch", {"release_0_2": _first_release, **releases(BRANCH, (0, 3))})


def from_ban(ban: Ban) -> tuple[object, ...]:
    """Return a ban as the values of :data:`BANS` without its number."""
    branches = orjson.dumps(sorted(ban.branches)).decode()
    times = (to_ms(ban.since), maybe(to_ms, ban.until))
    return ban.reason, *times, ban.by, branches, ban.note


def to_ban(record: tuple[Any, ...]) -> Ban:
    """Return the ban of a record of :data:`BANS`, else raise TypeError or ValueError."""
    number, reason, since_ms, until_ms, by, branches, note = record
    times = (from_ms(since_ms), maybe(from_ms, until_ms))
    return Ban(number, reason, *times, by, frozenset(orjson.loads(branches)), note)


def from_pass(issued: Pass) -> tuple[object, ...]:
    """Return a pass as the values of :data:`PASSES` without its number."""
    days = (issued.first_day.isoformat(), issued.last_day.isoformat())
    weekdays = "".join(map(str, sorted(issued.weekdays)))
    spans = " ".join(f"{span.opens}-{span.closes}" for span in issued.more_times)
    times = (weekdays, issued.from_minute, issued.to_minute, spans, issued.outside_hours)
    use = (issued.needs_pin, issued.pin_check, issued.code_digits, issued.companions_max)
    return issued.kind.value, *days, *times, *use, issued.label


def to_pass(record: tuple[Any, ...]) -> Pass:
    """Return the pass of a record of :data:`PASSES`, else raise TypeError or ValueError."""
    values = dict(zip(_PASS_FIELDS, record, strict=True))
    spans = values["more_times"].split()
    return Pass(
        **values
        | {name: date.fromisoformat(values[name]) for name in ("first_day", "last_day")}
        | {name: bool(values[name]) for name in ("outside_hours", "needs_pin")}
        | {
            "kind": PassKind(values["kind"]),
            "weekdays": frozenset(map(int, values["weekdays"])),
            "more_times": tuple(Span(*map(int, span.split("-"))) for span in spans),
        }
    )


def from_override(override: Override) -> tuple[object, ...]:
    """Return an override as the values of :data:`OVERRIDES`."""
    return override.mode.value, to_ms(override.until), override.cause, override.by


def to_override(record: tuple[Any, ...]) -> Override:
    """Return the override of a record of :data:`OVERRIDES`, else raise TypeError or ValueError."""
    mode, until_ms, cause, by = record
    return Override(Mode(mode), from_ms(until_ms), cause, by)


@dataclass(frozen=True, slots=True)
class LastOverride:
    """The mode that staff have set last; `ended_by` ended it by hand at `ended_at`, UTC.

    `ended_at` alone: it is not known who did.
    """

    number: int
    override: Override
    ended_at: datetime | None
    ended_by: str = ""

    @property
    def version(self) -> int:
        """A number that changes with each change of the mode by hand."""
        return 2 * self.number + (self.ended_at is not None)

    @property
    def standing(self) -> Override | None:
        """The mode, unless staff ended it; its time may be over."""
        return self.override if self.ended_at is None else None


class ModeDeed(NamedTuple):
    """That the account `by` has set a mode or, without a `cause`, ended one, at a UTC time."""

    at: datetime
    by: str
    cause: str


def _to_last(record: tuple[Any, ...]) -> LastOverride:
    number, ended_ms, ended_by, *override = record
    return LastOverride(number, to_override(tuple(override)), maybe(from_ms, ended_ms), ended_by)


def from_spans(days: tuple[Day, ...]) -> str:
    """Return days' spans as JSON: for each day a list of mode, start and end in minutes."""
    lists = [[(span.mode.value, span.starts, span.ends) for span in day] for day in days]
    return orjson.dumps(lists).decode()


def to_spans(text: str) -> tuple[Day, ...]:
    """Return the spans that :func:`from_spans` wrote, else raise TypeError or ValueError."""
    return tuple(
        tuple(ModeSpan(Mode(mode), index(starts), index(ends)) for mode, starts, ends in day)
        for day in orjson.loads(text)
    )


def new_code(digits: int = MIN_CODE_DIGITS) -> Identifier:
    """Draw a random code that is not an obvious guess; 85 % of the six-digit codes remain.

    The operating system's generator draws it; it is derived from nothing. Staff see the digits
    once, after ``code:`` in the identifier, and they are stored nowhere; a lost code is revoked
    and replaced. A code that is taken is refused when it is issued: draw another then.
    """
    while guessable(code := f"{secrets.randbelow(10**digits):0{digits}}"):
        pass
    return Identifier(IdentifierKind.CODE, code)


# The column lists and conditions are all that these are made of; values are always bound.
_BANS = f"""
    SELECT {BANS} FROM bans NOT INDEXED WHERE (row_key = ? OR patron_ref = ?) AND lifted_ms IS NULL
    ORDER BY number
"""  # noqa: S608 -- as said
_PASS = tuple(
    (
        select("1", f"passes{by} WHERE row_key = ? AND NOT {whole(tables.PASSES)}"),
        select(PASSES, f"passes{by} WHERE row_key = ? AND revoked_ms IS NULL ORDER BY number DESC"),
    )
    for by in ("", " NOT INDEXED")
)
"""Whether one is damaged, and all of them: by the index, or where that is damaged, without it."""
_BROKEN = {
    table.name: select("1", f"{table.name} WHERE NOT {whole(table)}")
    for table in of_database(BRANCH)
    if table.twice
}
"""The queries for damaged rows. All bans are read, without an index, because a wrong bit in a ban's
key would hide it. Of passes one card's are enough: a pass that is not found lets nobody in."""
_BROKEN_DAYS = select(
    "CAST(day AS BLOB), CAST(twice AS BLOB)", f"days WHERE NOT {whole(tables.DAYS)}"
)
_HAS_PASSES = select("1", "sqlite_schema WHERE name = 'passes'")
_LAST = select("max(number)", "overrides")
_BROKEN_LAST = select("1", f"overrides WHERE number = ({_LAST}) AND NOT {whole(tables.OVERRIDES)}")
_DATE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BAN = select(BANS, "bans WHERE number = ? AND lifted_ms IS NULL")
_RESTRICTION = "SELECT row_key, patron_ref FROM restrictions WHERE number = ?"
_RESTRICTED = """
    SELECT EXISTS (
        SELECT 1 FROM restrictions NOT INDEXED WHERE patron_ref = ?2
        OR row_key = ?1 AND (patron_ref IS NULL OR ?2 IS NULL)
    )
"""
"""A card that another patron has now is no longer the first patron's."""

_EVERY_BAN = f"SELECT row_key, patron_ref, lifted_ms, {BANS} FROM bans ORDER BY number DESC"  # noqa: S608 -- as said
_EVERY_PASS = f"SELECT row_key, NULL, revoked_ms, {PASSES} FROM passes ORDER BY number DESC"  # noqa: S608 -- as said
_OVERRIDE = f"""
    SELECT {OVERRIDES} FROM overrides WHERE number = (SELECT max(number) FROM overrides)
    AND ended_ms IS NULL
"""  # noqa: S608 -- as said
_LAST_OVERRIDE = f"""
    SELECT number, ended_ms, coalesce(ended_by, ''), {OVERRIDES} FROM overrides
    WHERE number = (SELECT max(number) FROM overrides)
"""  # noqa: S608 -- as said
_LIFTED = f"""
    SELECT number, ended_ms, ended_by, {OVERRIDES} FROM overrides
    WHERE mode = 'lockdown' AND by = :by AND ended_by <> :by AND ended_ms >= :since
    ORDER BY number DESC LIMIT 1
"""  # noqa: S608 -- as said
_MODE_DEEDS = """
    SELECT set_ms, by, cause FROM overrides
    UNION ALL SELECT ended_ms, ended_by, '' FROM overrides WHERE ended_by <> ''
    ORDER BY 1, 3
"""
_CALENDAR = f"""
    SELECT 'source', source, known_until, fetched_ms, NULL FROM day_sources
    WHERE {whole(tables.DAY_SOURCES)}
    UNION ALL SELECT 'day', source, day, spans, note FROM days WHERE {whole(tables.DAYS)}
    UNION ALL SELECT 'week', NULL, NULL, spans, NULL FROM week WHERE {whole(tables.WEEK)}
"""  # noqa: S608 -- as said
"""It is one statement, so that it reads one commit."""

_WRONG_ELSEWHERE = "SELECT wrong FROM wrong_pins_elsewhere WHERE patron_ref = ?"
CURE = "restore it from its backup"

RecordT = TypeVar("RecordT")


class BranchReader:
    """Read ``branch.db``, a call at a time on any thread.

    The file may appear later; it is opened at the first call and again when another file takes its
    place. A branch that never had one holds nothing.
    """

    unreadable = f"a row can't be read; {CURE}"
    """The end of the error's text for a row that was tampered with."""

    def __init__(self, path: Path, reader: WatchedReader | None = None) -> None:
        self.path = path
        self.reader = reader or WatchedReader(path, CURE)
        self._guard = Lock()

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._guard:
            self.reader.close()

    def _records(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        if never_made(self.path):
            return []
        with self._guard, translated(self.path):
            return self.reader.current().execute(sql, parameters).fetchall()

    def _fetch(
        self,
        to_value: Callable[[tuple[Any, ...]], RecordT],
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
    ) -> tuple[RecordT, ...]:
        return self._read(lambda rows: tuple(map(to_value, rows)), self._records(sql, parameters))

    def _read(
        self, to_value: Callable[[list[tuple[Any, ...]]], RecordT], records: list[tuple[Any, ...]]
    ) -> RecordT:
        try:
            return to_value(records)
        except (AttributeError, TypeError, ValueError, LookupError):
            # The cause would quote the row.
            raise self._damaged() from None

    def _damaged(self) -> StoreDamagedError:
        return StoreDamagedError(f"{self.path} is damaged: {self.unreadable}")


class BranchRecords(BranchReader):
    """Look up ``branch.db``. `version` never waits; `now_s`: `Lasting`."""

    def __init__(self, path: Path, now_s: Callable[[], float] | None = None) -> None:
        lasting = None if now_s is None else Lasting(now_s)
        super().__init__(path, WatchedReader(path, CURE, migrations, lasting=lasting))
        self._commits = WatchedReader(
            path, CURE, migrations, patience_ms=LOOP_PATIENCE_MS, lasting=lasting
        )

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""
        numbers = self._numbers(tables.BANS, row_key, patron_ref)
        if numbers is None:
            return self._fetch(to_ban, _BANS, (row_key, patron_ref))
        return tuple(ban for number in numbers for ban in self._fetch(to_ban, _BAN, (number,)))

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes of a card or code that were not revoked, in force or not."""
        for broken, every in _PASS:
            try:
                is_broken = self._records(broken, (row_key,))
            except StoreDamagedError:
                continue
            if is_broken:
                raise self._damaged()
            return self._fetch(to_pass, every, (row_key,))
        if not self._records(_HAS_PASSES):
            raise self._damaged()
        # The patron's own row may let in all the same.
        return ()

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of the data about a card or its patron."""
        numbers = self._numbers(tables.RESTRICTIONS, row_key, patron_ref)
        if numbers is None:
            records = self._records(_RESTRICTED, (row_key, patron_ref))
            return bool(records and records[0][0])
        subjects = [subject for n in numbers for subject in self._records(_RESTRICTION, (n,))]
        return any(
            ref == patron_ref if ref is not None and patron_ref is not None else key == row_key
            for key, ref in subjects
        )

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have reported."""
        try:
            records = self._records(_WRONG_ELSEWHERE, (patron_ref,))
        except StoreDamagedError:
            # What is counted here counts; the sender tells all of it again.
            return 0
        return records[0][0] if records else 0

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit; what is damaged is left out."""
        self._refuse_unread("days", "day_sources", "week")
        stored = self._read(_to_calendar, self._records(_CALENDAR))
        return replace(stored, damaged=self._read(_damaged_days, self._records(_BROKEN_DAYS)))

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""
        self._refuse_broken_override()
        records = self._fetch(to_override, _OVERRIDE)
        return records[0] if records else None

    def last_override(self) -> LastOverride | None:
        """Return the mode set by hand last, also where staff ended it; None for none ever."""
        self._refuse_broken_override()
        records = self._fetch(_to_last, _LAST_OVERRIDE)
        return records[0] if records else None

    def lifted(self, by: str, since: datetime) -> LastOverride | None:
        """Return the last lockdown of an account that another one has lifted since a time."""
        records = self._fetch(_to_last, _LIFTED, {"by": by, "since": to_ms(since)})
        return records[0] if records else None

    def mode_deeds(self) -> tuple[ModeDeed, ...]:
        """Return when staff have set or ended a mode by hand, the oldest first."""
        return self._fetch(lambda record: ModeDeed(from_ms(record[0]), *record[1:]), _MODE_DEEDS)

    def every_ban(self) -> tuple[Listed[Ban], ...]:
        """Return every ban that is still stored, newest first."""
        return self._fetch(partial(_listed, to_ban), _EVERY_BAN)

    def every_pass(self) -> tuple[Listed[Pass], ...]:
        """Return every pass that is still stored, newest first."""
        return self._fetch(partial(_listed, to_pass), _EVERY_PASS)

    def version(self) -> int:
        """Return a number that changes with each commit and each new file."""
        if never_made(self.path):
            return -self._commits.generation
        return self._commits.version()

    def close(self) -> None:
        """Close both connections; idempotent."""
        super().close()
        self._commits.close()

    def damage(self) -> str | None:
        """Return in which tables that the door goes by something is damaged, None for none."""
        damaged = [table for table in (*_BROKEN, "wrong_pins_elsewhere") if self._is_damaged(table)]
        return ", ".join(damaged) or None

    def _is_damaged(self, table: str) -> bool:
        try:
            broken = _BROKEN.get(table)
            return not self._is_read(table) or bool(broken and self._records(broken))
        except StoreDamagedError:
            return True

    def _numbers(self, table: Table, row_key: bytes, patron_ref: str | None) -> list[int] | None:
        """Return the rows about a card or its patron; None for all that a query finds.

        Raises StoreDamagedError: one that is damaged may be theirs.
        """
        with suppress(StoreError):
            if not self._is_damaged(table.name):
                return None
        try:
            return numbers_of(self._scan, self._records, table, row_key, patron_ref)
        except InDoubtError:
            raise self._damaged() from None

    def _scan(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what can be read from the beginning on, and from the end."""
        found: list[tuple[Any, ...]] = []
        with self._guard:
            database = self.reader.current()
            for order in ("", " DESC"):
                # What comes before an error is kept.
                with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
                    found.extend(database.execute(sql + order))
        return found

    def _is_read(self, table: str) -> bool:
        # A wrong bit in how many rows a page says to have hides them all.
        try:
            return self._records(f"PRAGMA quick_check({table})") in ([], [("ok",)])
        except StoreDamagedError:
            return False

    def _refuse_unread(self, *tables: str) -> None:
        if not all(map(self._is_read, tables)):
            raise self._damaged()

    def _refuse_broken_override(self) -> None:
        # Earlier ones are over.
        self._refuse_unread("overrides")
        if self._records(_BROKEN_LAST):
            raise self._damaged()


def never_made(path: Path) -> bool:
    """Tell whether there was never such a file: a writer leaves its lock file behind."""
    name = str(path)
    return _absent(name) and _absent(f"{name}.lock")


def _absent(file: str) -> bool:
    try:
        os.lstat(file)
    except OSError as error:
        # Any other doubt, such as a link that leads nowhere, shows when the file is opened.
        return isinstance(error, FileNotFoundError)
    return False


def _listed(to_held: Callable[[tuple[Any, ...]], HeldT], record: tuple[Any, ...]) -> Listed[HeldT]:
    row_key, patron_ref, ended_ms, *held = record
    card = None if row_key is None else row_key.hex()[:CARD_HEX_DIGITS]
    return Listed(to_held(tuple(held)), card, patron_ref, maybe(from_ms, ended_ms))


def _to_calendar(records: list[tuple[Any, ...]]) -> StoredCalendar:
    days = [record for record in records if record[0] == "day"]
    weeks = [StoredWeek(to_spans(spans)) for kind, _, _, spans, _ in records if kind == "week"]
    sources = {
        DaySource(source): StoredDays(
            _to_days(source, days), maybe(date.fromisoformat, known_until), from_ms(fetched_ms)
        )
        for kind, source, known_until, fetched_ms, _ in records
        if kind == "source"
    }
    if DaySource.STAFF not in sources and (by_staff := _to_days(DaySource.STAFF.value, days)):
        # Their own row is damaged, and says no more of theirs.
        sources[DaySource.STAFF] = StoredDays(by_staff, None, from_ms(0))
    return StoredCalendar(sources, next(iter(weeks), None))


def _damaged_days(records: list[tuple[Any, ...]]) -> frozenset[date]:
    """Return the dates that damaged rows may be of; LookupError for one that names none."""
    found: set[date] = set()
    for day, twice in records:
        dates = {named for text in _DATE.findall(day + b" " + twice) if (named := _day(text))}
        if not dates:
            raise LookupError
        found |= dates
    return frozenset(found)


def _day(text: bytes) -> date | None:
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None


def _to_days(source: str, days: list[tuple[Any, ...]]) -> tuple[StoredDay, ...]:
    own = sorted((day, spans, note) for _, whose, day, spans, note in days if whose == source)
    return tuple(
        StoredDay(date.fromisoformat(day), to_spans(spans)[0], note) for day, spans, note in own
    )


def known(moment: Moment) -> datetime:
    """Return the UTC time; of a clock that is not set the time that has certainly come."""
    return moment.certain


def today(moment: Moment) -> date:
    """Return the local date of :func:`known`."""
    return moment.certain.astimezone(moment.local.tzinfo).date()
