"""The one writer of bans, passes and hours: each call is one transaction, durable or undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

from doorctl.access.calendar import DaySource, StoredDay, StoredDays
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass, codes_allowed
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.store.branch import lost, never_made
from doorctl.store.branch_rows import (
    BANS,
    OVERRIDES,
    PASSES,
    erase_expired,
    from_ban,
    from_override,
    from_pass,
    from_spans,
    migrations,
    to_ban,
    to_override,
    to_pass,
)
from doorctl.store.branch_rules import (
    known,
    refuse_ban,
    refuse_days,
    refuse_one_more,
    refuse_override,
    refuse_pass,
    today,
)
from doorctl.store.connection import Writer, create_file, transaction, translated
from doorctl.store.visit_purge import compact
from doorctl.store.visit_rows import from_ms, to_ms

# What ended long ago is about people too, so it is deleted.

KEPT_AFTER_END = timedelta(days=30)
"""As long as visits are kept, which is the sector's standard (DPL CMS's privacy template)."""

LEAP = timedelta(days=2)
"""A time that is this much later than that of the last deletion is not trusted at once."""

SEEN_FOR = timedelta(hours=6)
"""How long such a time must last before it is trusted. Else a clock that is wrong for an evening
would delete every ban, tombstone and audit record."""

SEEN_FOR_AT_MOST = timedelta(days=60)
"""A time that is even later begins a new wait; a battery clock may start with any time."""

_MILLISECOND = timedelta(milliseconds=1)
_DELETED_BY, _FIRST_SEEN = "deleted_by_ms", "later_time_seen_ms"
_TIME = "SELECT CAST(value AS INTEGER) FROM settings WHERE key = ?"
_KEEP_TIME = "INSERT OR REPLACE INTO settings VALUES (?, ?)"
_FORGET_TIME = "DELETE FROM settings WHERE key = ?"

_BY_TIME = (
    "DELETE FROM bans WHERE min(coalesce(lifted_ms, until_ms), coalesce(until_ms, lifted_ms)) < ?",
    "DELETE FROM passes WHERE revoked_ms < ?",
    "DELETE FROM tombstones WHERE until_ms < ?",
    # A lockdown counts even when it is over, until somebody lifts it.
    """
    DELETE FROM overrides WHERE min(coalesce(ended_ms, until_ms), until_ms) < ?
    AND (mode <> 'lockdown' OR ended_ms IS NOT NULL)
    """,
    "DELETE FROM alarms WHERE cleared_ms < ?",
)
_BY_DAY = (
    "DELETE FROM passes WHERE last_day < ?",
    "DELETE FROM days WHERE day < ?",
    "DELETE FROM wrong_pins_elsewhere WHERE day < ?",
)


def delete_ended(connection: sqlite3.Connection, moment: Moment) -> bool:
    """Delete what ended more than :data:`KEPT_AFTER_END` ago; return whether there was any.

    Bans without an end stay until they are lifted, and the audit log keeps its records for longer.
    Nothing is deleted while the clock is not set, or before a time that leapt ahead has stood for
    :data:`SEEN_FOR`.
    """
    if not (moment.dependable and _is_believed(connection, to_ms(moment.local))):
        return False
    cutoff = known(moment) - KEPT_AFTER_END
    first_day = today(moment) - KEPT_AFTER_END
    deleted = 0
    for statement in _BY_TIME:
        deleted += connection.execute(statement, (to_ms(cutoff),)).rowcount
    for statement in _BY_DAY:
        deleted += connection.execute(statement, (first_day.isoformat(),)).rowcount
    return erase_expired(connection, moment) + deleted > 0


def _is_believed(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Tell whether to delete by a dependable time, and store it.

    It is stored because a machine that is restarted every day must delete all the same.
    """
    deleted_by, seen = _time(connection, _DELETED_BY), _time(connection, _FIRST_SEEN)
    if deleted_by is not None and now_ms - deleted_by > LEAP // _MILLISECOND:
        for_ms = -1 if seen is None else now_ms - seen
        if not 0 <= for_ms <= SEEN_FOR_AT_MOST // _MILLISECOND:
            connection.execute(_KEEP_TIME, (_FIRST_SEEN, str(now_ms)))
            return False
        if for_ms < SEEN_FOR // _MILLISECOND:
            return False
    connection.execute(_KEEP_TIME, (_DELETED_BY, str(now_ms)))
    connection.execute(_FORGET_TIME, (_FIRST_SEEN,))
    return True


def _time(connection: sqlite3.Connection, key: str) -> int | None:
    record: tuple[int] | None = connection.execute(_TIME, (key,)).fetchone()
    return None if record is None else record[0]


# The column lists are all that these are made of; values are always bound.
_ADD_BAN = f"""
    INSERT INTO bans (row_key, patron_ref, {BANS}) VALUES (?, ?, NULL, ?, ?, ?, ?, ?, ?)
    RETURNING {BANS}
"""  # noqa: S608 -- as said
_LIFT = f"UPDATE bans SET lifted_ms = ? WHERE number = ? AND lifted_ms IS NULL RETURNING {BANS}"  # noqa: S608 -- as said
_ADD_PASS = f"""
    INSERT INTO passes (row_key, {PASSES}) VALUES (?, NULL, {", ".join("?" * 13)})
    RETURNING {PASSES}
"""  # noqa: S608 -- as said
_REVOKE = f"""
    UPDATE passes SET revoked_ms = ? WHERE number = ? AND revoked_ms IS NULL RETURNING {PASSES}
"""  # noqa: S608 -- as said
_END_OVERRIDE = f"""
    UPDATE overrides SET ended_ms = :now
    WHERE number = (SELECT max(number) FROM overrides) AND ended_ms IS NULL
    AND (until_ms > :now OR mode = 'lockdown')
    RETURNING {OVERRIDES}
"""  # noqa: S608 -- as said
_TAKEN = """
    SELECT count(*) FROM passes WHERE row_key = ? AND revoked_ms IS NULL AND last_day >= ?
"""
_CODES = """
    SELECT count(*) FROM passes WHERE code_digits = ? AND revoked_ms IS NULL AND last_day >= ?
"""
_ADD_OVERRIDE = f"INSERT INTO overrides ({OVERRIDES}, set_ms) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- as said


class BranchRecordsWriter:
    """Write ``branch.db``; implements `BranchWriter`. Belongs to the thread that makes it.

    The file must exist. Each call also deletes what ended more than a month ago, and then rewrites
    the file without it. If a reader or the disk prevents that, the next call or start does it.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: the file is missing or can't be used.
    """

    def __init__(self, path: Path) -> None:
        # A lock without a database would say that there was one.
        if not path.exists():
            raise lost(path)
        self.path = path
        self._writer = Writer(path, migrations, checkpoints=True)
        self._stale = True
        self._compact_if_stale()

    @property
    def database(self) -> sqlite3.Connection:
        """The one writing connection, for the file's other tables on the same thread."""
        return self._writer.database

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""
        refuse_ban(ban, moment, row_key, patron_ref)
        with self.together(moment) as connection:
            values = (row_key, patron_ref, *from_ban(ban))
            return to_ban(connection.execute(_ADD_BAN, values).fetchone())

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it."""
        with self.together(moment) as connection:
            record = connection.execute(_LIFT, (to_ms(known(moment)), number)).fetchone()
            if record is None:
                raise InputError(
                    "there is no ban {n} that could be lifted; list them", n=str(number)
                )
        return to_ban(record)

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number."""
        refuse_pass(new, moment)
        day = today(moment)
        with self.together(moment) as connection:
            taken = connection.execute(_TAKEN, (row_key, day.isoformat())).fetchone()[0]
            refuse_one_more(new, taken)
            _refuse_too_many_codes(connection, new.code_digits, day)
            values = (row_key, *from_pass(new))
            return to_pass(connection.execute(_ADD_PASS, values).fetchone())

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it."""
        with self.together(moment) as connection:
            record = connection.execute(_REVOKE, (to_ms(known(moment)), number)).fetchone()
            if record is None:
                raise InputError(
                    "there is no pass {n} that could be revoked; list them", n=str(number)
                )
        return to_pass(record)

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> StoredDays:
        """Replace a source's days from today on; return what it says now."""
        listed = tuple(sorted(days, key=lambda day: day.day))
        refuse_days(listed, moment)
        fetched_ms = to_ms(known(moment))
        until = None if known_until is None else known_until.isoformat()
        with self.together(moment) as connection:
            ahead = (source.value, today(moment).isoformat())
            connection.execute("DELETE FROM days WHERE source = ? AND day >= ?", ahead)
            connection.executemany(
                "INSERT INTO days (source, day, spans, note) VALUES (?, ?, ?, ?)",
                (_from_day(source, day) for day in listed),
            )
            connection.execute(
                """
                INSERT OR REPLACE INTO day_sources (source, known_until, fetched_ms)
                VALUES (?, ?, ?)
                """,
                (source.value, until, fetched_ms),
            )
        return StoredDays(source, listed, known_until, from_ms(fetched_ms))

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other."""
        refuse_override(override, moment)
        now_ms = to_ms(known(moment))
        with self.together(moment) as connection:
            connection.execute(_END_OVERRIDE, {"now": now_ms}).fetchall()
            connection.execute(_ADD_OVERRIDE, (*from_override(override), now_ms))

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand; return it."""
        with self.together(moment) as connection:
            now = {"now": to_ms(known(moment))}
            records = connection.execute(_END_OVERRIDE, now).fetchall()
            if not records:
                raise InputError("no mode is set by hand, so there is none to end")
        return to_override(records[0])

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:
        """Replace patrons' counts of wrong PINs at other branches; equal counts are not written."""
        day = today(moment).isoformat()
        rows = {(ref, wrong, day) for ref, wrong in elsewhere.items()}
        with translated(self.path):
            held = set(self.database.execute("SELECT * FROM wrong_pins_elsewhere"))
        if rows == held:
            return
        with self.together(moment) as connection:
            connection.execute("DELETE FROM wrong_pins_elsewhere")
            connection.executemany("INSERT INTO wrong_pins_elsewhere VALUES (?, ?, ?)", rows)
            if {ref for ref, _, _ in held} - elsewhere.keys():
                self.rewrite_after()

    def rewrite_after(self) -> None:
        """Rewrite the file after the transaction under way, because rows were erased."""
        self._stale = True

    def close(self) -> None:
        """Let the next writer in; idempotent."""
        self._writer.close()

    @contextmanager
    def together(self, moment: Moment) -> Iterator[sqlite3.Connection]:
        """Make a block's calls and its own writing one transaction; an exception undoes it.

        May be nested: the outermost block commits.
        """
        if self.database.in_transaction:
            yield self.database
            return
        with translated(self.path), transaction(self.database) as connection:
            yield connection
            deleted = delete_ended(connection, moment)
        self._stale = self._stale or deleted
        self._compact_if_stale()

    def _compact_if_stale(self) -> None:
        # The commit is durable by now: no failure here may say otherwise.
        if self._stale:
            with suppress(StoreError), translated(self.path):
                self._stale = compact(self.database) != (0, 0, 0)


def create_branch(path: Path) -> None:
    """Create an empty file, mode 0600, without bans, passes or hours.

    Raises:
        AlreadyExistsError: the path is taken; nothing was touched.
        StoreError: it can't be created.
    """
    create_file(path, migrations)
    BranchRecordsWriter(path).close()


def open_or_create_branch(path: Path) -> BranchRecordsWriter:
    """Open the writer, on an empty file if the branch never had one.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: the file was there and is gone, or can't be used.
    """
    if never_made(path):
        create_file(path, migrations)
    return BranchRecordsWriter(path)


def _from_day(source: DaySource, day: StoredDay) -> tuple[str, ...]:
    return source.value, day.day.isoformat(), from_spans((day.spans,)), day.note


def _refuse_too_many_codes(connection: sqlite3.Connection, digits: int | None, day: date) -> None:
    if digits is None:
        return
    allowed = codes_allowed(digits)
    if connection.execute(_CODES, (digits, day.isoformat())).fetchone()[0] >= allowed:
        raise InputError(
            "{n} codes of {digits} digits are in force, and with more of them one could be "
            "guessed; revoke some or issue longer ones",
            n=allowed,
            digits=digits,
        )
