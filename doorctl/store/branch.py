"""Bans, passes and hours, read-only: what the door and the staff pages look up.

A branch without a file has none of them. But a file that was there and is gone, or can't be
read, is an error: without it every ban would be forgotten. So a damaged file is left in place and
not set aside, and no empty one replaces it by itself. For a moment the door goes by the file that
it read last: see `WatchedReader`.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from doorctl.access.calendar import (
    DaySource,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.access.day import Override
from doorctl.access.rights import (
    Ban,
    HeldT,
    Listed,
    Pass,
)
from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.core.moments import Moment
from doorctl.privacy.tables import BRANCH, Table
from doorctl.store import tables
from doorctl.store.branch_rows import (
    BANS,
    OVERRIDES,
    PASSES,
    LastOverride,
    ModeDeed,
    _to_last,
    migrations,
    to_ban,
    to_override,
    to_pass,
    to_spans,
)
from doorctl.store.connection import translated
from doorctl.store.damage.concerned import InDoubtError, numbers_of
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.reader import LOOP_PATIENCE_MS, Lasting, WatchedReader
from doorctl.store.tables import (
    from_ms,
    maybe,
    of_database,
    select,
    to_ms,
    whole,
)

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
