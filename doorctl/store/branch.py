"""Bans, passes and hours, read-only: what the door and the staff pages look up.

A branch without a file has none of them. But a file that was there and is gone, or can't be
read, is an error: without it every ban would be forgotten. So a damaged file is left in place and
not set aside, and no empty one replaces it by itself. For a moment the door goes by the file that
it read last: see `WatchedReader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from doorctl.access.calendar import DaySource, StoredCalendar, StoredDay, StoredDays
from doorctl.access.day import Override
from doorctl.access.rights import Ban, BanEntry, Pass, PassEntry
from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.privacy.subject_table import BRANCH
from doorctl.store.branch_rows import (
    BANS,
    OVERRIDES,
    PASSES,
    migrations,
    to_ban,
    to_override,
    to_pass,
    to_spans,
)
from doorctl.store.connection import (
    LOOP_PATIENCE_MS,
    Lasting,
    WatchedReader,
    translated,
)
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.tables import TABLES, whole
from doorctl.store.visit_rows import from_ms

# The column lists and conditions are all that these are made of; values are always bound.
_BANS = f"""
    SELECT {BANS} FROM bans NOT INDEXED WHERE (row_key = ? OR patron_ref = ?) AND lifted_ms IS NULL
    ORDER BY number
"""  # noqa: S608 -- as said
_PASS = f"""
    SELECT {PASSES} FROM passes WHERE row_key = ? AND revoked_ms IS NULL
    ORDER BY number DESC
"""  # noqa: S608 -- as said
_BROKEN = {
    table.name: f"SELECT 1 FROM {table.name} WHERE NOT {whole(table)}"  # noqa: S608 -- as said
    for table in TABLES
    if table.database == BRANCH and table.twice
}
"""The queries for damaged rows. All bans are read, without an index, because a wrong bit in a ban's
key would hide it. Of passes one card's are enough: a pass that is not found lets nobody in."""
_BROKEN_PASS = f"{_BROKEN['passes']} AND row_key = ?"
_RESTRICTED = """
    SELECT EXISTS (
        SELECT 1 FROM restrictions NOT INDEXED WHERE patron_ref = ?2
        OR row_key = ?1 AND (patron_ref IS NULL OR ?2 IS NULL)
    )
"""
"""A card that another patron has now is no longer the first patron's."""

_EVERY_BAN = f"SELECT row_key, patron_ref, lifted_ms, {BANS} FROM bans ORDER BY number DESC"  # noqa: S608 -- as said
_EVERY_PASS = f"SELECT row_key, revoked_ms, {PASSES} FROM passes ORDER BY number DESC"  # noqa: S608 -- as said
_OVERRIDE = f"""
    SELECT {OVERRIDES} FROM overrides WHERE number = (SELECT max(number) FROM overrides)
    AND ended_ms IS NULL
"""  # noqa: S608 -- as said
_CALENDAR = """
    SELECT 'source', source, known_until, fetched_ms, NULL FROM day_sources
    UNION ALL SELECT 'day', source, day, spans, note FROM days
"""
"""It is one statement, so that it reads one commit."""

_WRONG_ELSEWHERE = "SELECT wrong FROM wrong_pins_elsewhere WHERE patron_ref = ?"
_CURE = "restore it from its backup"

RecordT = TypeVar("RecordT")


class BranchReader:
    """Read ``branch.db``, a call at a time on any thread.

    The file may appear later; it is opened at the first call and again when another file takes its
    place. A branch that never had one holds nothing.
    """

    unreadable = f"a row can't be read; {_CURE}"
    """The end of the error's text for a row that was tampered with."""

    def __init__(self, path: Path, rows: WatchedReader | None = None) -> None:
        self.path = path
        self._rows = rows or WatchedReader(path, _CURE)
        self._guard = Lock()

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._guard:
            self._rows.close()

    def _records(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        if never_made(self.path):
            return []
        with self._guard, translated(self.path):
            return self._rows.current().execute(sql, parameters).fetchall()

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
    """Look up ``branch.db``; implements `BranchBook`.

    `version` has a connection of its own, so that it never waits. `now_s` is as in `Lasting`.
    """

    def __init__(self, path: Path, now_s: Callable[[], float] | None = None) -> None:
        lasting = None if now_s is None else Lasting(now_s)
        super().__init__(path, WatchedReader(path, _CURE, migrations, lasting=lasting))
        self._commits = WatchedReader(
            path, _CURE, migrations, patience_ms=LOOP_PATIENCE_MS, lasting=lasting
        )

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""
        self._refuse_broken("bans")
        return self._fetch(to_ban, _BANS, (row_key, patron_ref))

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes of a card or code that were not revoked, in force or not."""
        if self._records(_BROKEN_PASS, (row_key,)):
            raise self._damaged()
        return self._fetch(to_pass, _PASS, (row_key,))

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of the data about a card or its patron."""
        self._refuse_broken("restrictions")
        records = self._records(_RESTRICTED, (row_key, patron_ref))
        return bool(records and records[0][0])

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have reported."""
        records = self._records(_WRONG_ELSEWHERE, (patron_ref,))
        return records[0][0] if records else 0

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit."""
        self._refuse_broken("days", "day_sources")
        return self._read(_to_calendar, self._records(_CALENDAR))

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""
        self._refuse_broken("overrides")
        records = self._fetch(to_override, _OVERRIDE)
        return records[0] if records else None

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban that is still stored, newest first."""
        return self._fetch(_to_ban_entry, _EVERY_BAN)

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass that is still stored, newest first."""
        return self._fetch(_to_pass_entry, _EVERY_PASS)

    def version(self) -> int:
        """Return a number that changes with each commit and each new file."""
        if never_made(self.path):
            return -self._commits.generation
        return self._commits.version()

    def close(self) -> None:
        """Close both connections; idempotent."""
        super().close()
        self._commits.close()

    def _refuse_broken(self, *tables: str) -> None:
        for table in tables:
            # A wrong bit in how many rows a page says to have hides them all.
            records = self._records(f"PRAGMA quick_check({table})")
            if records not in ([], [("ok",)]) or self._records(_BROKEN[table]):
                raise self._damaged()


def never_made(path: Path) -> bool:
    """Tell whether a branch has no such file and never had one.

    A writer leaves its lock file behind, so where that stands alone the database was lost.
    """
    return _absent(path) and _absent(path.with_name(f"{path.name}.lock"))


def lost(path: Path) -> StoreError:
    """Return the error for a file that is missing though :func:`never_made` says no."""
    return StoreError(f"{path} is missing; {_CURE}")


def _absent(file: Path) -> bool:
    try:
        file.lstat()
    except OSError as error:
        # Any other doubt, such as a link that leads nowhere, shows when the file is opened.
        return isinstance(error, FileNotFoundError)
    return False


def _to_ban_entry(record: tuple[Any, ...]) -> BanEntry:
    row_key, patron_ref, lifted_ms, *ban = record
    card = None if row_key is None else _pseudonym(row_key)
    lifted_at = None if lifted_ms is None else from_ms(lifted_ms)
    return BanEntry(to_ban(tuple(ban)), card, patron_ref, lifted_at)


def _to_pass_entry(record: tuple[Any, ...]) -> PassEntry:
    row_key, revoked_ms, *held = record
    revoked_at = None if revoked_ms is None else from_ms(revoked_ms)
    return PassEntry(to_pass(tuple(held)), _pseudonym(row_key), revoked_at)


def _pseudonym(row_key: bytes) -> str:
    return row_key.hex()[:CARD_HEX_DIGITS]


def _to_calendar(records: list[tuple[Any, ...]]) -> StoredCalendar:
    sources = [record for record in records if record[0] == "source"]
    days = [record for record in records if record[0] == "day"]
    return StoredCalendar(tuple(_to_days(source, days) for source in sorted(sources)))


def _to_days(record: tuple[Any, ...], days: list[tuple[Any, ...]]) -> StoredDays:
    _, source, known_until, fetched_ms, _ = record
    own = sorted((day, spans, note) for _, whose, day, spans, note in days if whose == source)
    return StoredDays(
        source=DaySource(source),
        days=tuple(
            StoredDay(date.fromisoformat(day), to_spans(spans)[0], note) for day, spans, note in own
        ),
        known_until=None if known_until is None else date.fromisoformat(known_until),
        fetched_at=from_ms(fetched_ms),
    )
