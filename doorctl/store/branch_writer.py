"""The one writer of ``branch.db``: bans, passes and hours, and what ends there.

Each call is one transaction, durable or undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path

from doorctl.access.calendar import DaySource, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.rights import CODES_APART, Ban, Pass
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.core.texts import refuse_purpose, refuse_text
from doorctl.privacy.audit import KEPT as KEPT_RECORDS
from doorctl.privacy.audit import erased_before
from doorctl.store.branch import (
    BANS,
    CURE,
    OVERRIDES,
    PASSES,
    from_ban,
    from_override,
    from_pass,
    from_spans,
    known,
    migrations,
    never_made,
    to_ban,
    to_override,
    to_pass,
    today,
)
from doorctl.store.connection import Writer, create_file, translated
from doorctl.store.tables import from_ms, maybe, to_ms

# Refuse to write into ``branch.db`` what is over already or clashes.
#
# The rules use the time that is known for certain, so that an unset clock refuses nothing that
# staff may want. What makes no sense at any time is refused by its own class. Each InputError says
# what to do.

MOST_PASSES = 6
"""Most passes in force for one card; the door tries each of them."""

LONGEST_OVERRIDE = timedelta(days=31)
"""The longest mode set by hand; longer ones belong into the calendar."""


def refuse_ban(ban: Ban, moment: Moment, row_key: bytes | None, patron_ref: str | None) -> None:
    """Raise InputError for a ban of nobody, without a reason, or one that is over."""
    refuse_purpose(ban.reason, "reason")
    if not row_key and not patron_ref:
        raise InputError("the ban is of nobody; swipe or name a card, or name the patron")
    if ban.until is not None and ban.until <= known(moment):
        raise InputError("the ban would be over already; give a later end")


def refuse_pass(new: Pass, moment: Moment) -> None:
    """Raise InputError for a pass that is over."""
    if new.last_day < today(moment):
        raise InputError(
            "the pass would be over since {day}; give a later last day", day=new.last_day
        )


def _refuse_one_more(connection: sqlite3.Connection, new: Pass, row_key: bytes, day: date) -> None:
    (taken,) = connection.execute(_TAKEN, (row_key, day.isoformat())).fetchone()
    if taken and new.code_digits is not None:
        raise InputError("the code has a pass already; revoke that one first")
    if taken >= MOST_PASSES:
        raise InputError("the card has {n} passes already; revoke one of them first", n=taken)
    if new.code_digits is None:
        return
    allowed: int = 10**new.code_digits // CODES_APART
    (codes,) = connection.execute(_CODES, (new.code_digits, day.isoformat())).fetchone()
    if codes >= allowed:
        raise InputError(
            "{n} codes of {digits} digits are in force, and with more of them one could be "
            "guessed; revoke some or issue longer ones",
            n=allowed,
            digits=new.code_digits,
        )


def refuse_days(days: Sequence[StoredDay], moment: Moment) -> None:
    """Raise InputError for dates that are past or named twice, or notes with a person's number."""
    named: set[date] = set()
    for day in days:
        if day.day < today(moment):
            raise InputError("{day} is past; leave it out", day=day.day)
        if day.day in named:
            raise InputError("{day} is named twice; say once what it is", day=day.day)
        named.add(day.day)
        refuse_text("note for {day}", day.note, optional=True, day=day.day)


def refuse_override(override: Override, moment: Moment) -> None:
    """Raise InputError for a mode set by hand that is over, or so long that staff would forget."""
    refuse_purpose(override.cause, "reason")
    refuse_text("account", override.by)
    if override.until <= known(moment):
        raise InputError("the mode would end before now; give a later end")
    # While nobody knows the time, a lockdown must be possible all the same.
    if moment.dependable and override.until > moment.local + LONGEST_OVERRIDE:
        raise InputError(
            "the mode would last more than {n} days; change the calendar", n=LONGEST_OVERRIDE.days
        )


# What ended long ago is about people too, so it is deleted.

KEPT_AFTER_END = timedelta(days=30)
"""As long as visits are kept, which is the sector's standard (DPL CMS's privacy template)."""

LEAP_MS = 2 * 24 * 3_600_000
"""A time that is this much later than that of the last deletion is not trusted at once."""

SEEN_FOR_MS = 6 * 3_600_000
"""How long such a time must last before it is trusted. Else a clock that is wrong for an evening
would delete every ban, tombstone and audit record."""

SEEN_FOR_AT_MOST_MS = 60 * 24 * 3_600_000
"""A time that is even later begins a new wait; a battery clock may start with any time."""

STEP_MS, STEP_EACH_MS = 24 * 3_600_000, 3_600_000
"""What is deleted by such a time: a day's rows an hour, as of the door log, for it may be wrong."""

_DELETED_BY, _FIRST_SEEN = "deleted_by_ms", "later_time_seen_ms"
_TIME = "SELECT CAST(value AS INTEGER) FROM settings WHERE key = ?"
_KEEP_TIME = "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)"
_FORGET_TIME = "DELETE FROM settings WHERE key = ?"

_BY_TIME = (
    "DELETE FROM bans WHERE min(coalesce(lifted_ms, until_ms), coalesce(until_ms, lifted_ms)) < ?",
    "DELETE FROM passes WHERE revoked_ms < ?",
    # One that was upheld stays as long as what it asks for: until erasure, or its end.
    "DELETE FROM objections WHERE decided_ms < ? AND decision <> 'upheld'",
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
    While the clock is not dependable, the earlier of both clocks counts. Nothing is deleted before
    a time that leapt ahead has stood for :data:`SEEN_FOR_MS`; then a day's rows go an hour.
    """
    now = moment.local if moment.dependable else moment.earliest(KEPT_AFTER_END)
    by_ms = _deletes_by(connection, to_ms(now))
    if by_ms is None:
        return False
    by = from_ms(by_ms)
    cutoff = to_ms(by - KEPT_AFTER_END)
    first_day = (by.astimezone(moment.local.tzinfo).date() - KEPT_AFTER_END).isoformat()
    statements = [*((sql, cutoff) for sql in _BY_TIME), *((sql, first_day) for sql in _BY_DAY)]
    deleted = sum(connection.execute(sql, (before,)).rowcount for sql, before in statements)
    return _erase_expired(connection, by, moment) + deleted > 0


def _deletes_by(connection: sqlite3.Connection, now_ms: int) -> int | None:
    """Return the time to delete by, if any, at a dependable time, and store it.

    It is stored because a machine that is restarted every day must delete all the same.
    """
    deleted_by, seen = _time(connection, _DELETED_BY), _time(connection, _FIRST_SEEN)
    if deleted_by is None or now_ms - deleted_by <= LEAP_MS:
        by_ms = now_ms
        connection.execute(_FORGET_TIME, (_FIRST_SEEN,))
    elif seen is None or not 0 <= now_ms - seen <= SEEN_FOR_AT_MOST_MS:
        connection.execute(_KEEP_TIME, (_FIRST_SEEN, str(now_ms)))
        return None
    elif now_ms - seen < SEEN_FOR_MS:
        return None
    else:
        steps = 1 + (now_ms - seen - SEEN_FOR_MS) // STEP_EACH_MS
        by_ms = min(now_ms, deleted_by + steps * STEP_MS)
        connection.execute(_KEEP_TIME, (_FIRST_SEEN, str(now_ms - SEEN_FOR_MS + STEP_EACH_MS)))
    connection.execute(_KEEP_TIME, (_DELETED_BY, str(by_ms)))
    return by_ms


def _time(connection: sqlite3.Connection, key: str) -> int | None:
    record: tuple[int] | None = connection.execute(_TIME, (key,)).fetchone()
    return None if record is None else record[0]


# A record that was written before one which a good clock dates is older, whatever its own says:
# a clock that was not set may have been years ahead.
_LAST_EXPIRED = """
    SELECT max(number) FROM audit INDEXED BY audit_by_time
    WHERE record IS NOT NULL AND json_extract(record, '$.at_ms') < :cutoff
        AND json_extract(record, '$.clock') <> :untrusted AND number < :before
"""
_FIRST_YOUNG = """
    SELECT min(number) FROM audit
    WHERE record IS NOT NULL AND json_extract(record, '$.at_ms') BETWEEN :cutoff AND :now
        AND json_extract(record, '$.clock') <> :untrusted AND number < :before
"""
_ERASE_TO = "UPDATE audit SET record = NULL, salt = NULL WHERE record IS NOT NULL AND number <= ?"
_ABOVE_ALL = 2**63 - 1


def _erase_expired(connection: sqlite3.Connection, by: datetime, moment: Moment) -> int:
    """Erase the records that are too old to keep by a time and a moment; return how many."""
    now = moment.earliest(KEPT_RECORDS)
    # What was written while nobody believed the clock is at least as old as the carried time says.
    undated = ClockState.UNTRUSTED.value if moment.dependable else ""
    cutoff = to_ms(erased_before(min(by, now)))
    values: dict[str, int | str] = {"cutoff": cutoff, "now": to_ms(now), "untrusted": undated}
    last = _last_expired(connection, values)
    return 0 if last is None else connection.execute(_ERASE_TO, (last,)).rowcount


def _last_expired(connection: sqlite3.Connection, values: dict[str, int | str]) -> int | None:
    last: int | None = connection.execute(
        _LAST_EXPIRED, values | {"before": _ABOVE_ALL}
    ).fetchone()[0]
    if last is None:
        return None
    # One that a good clock was wrong about, years behind, makes nothing old that is before it.
    (young,) = connection.execute(_FIRST_YOUNG, values | {"before": last}).fetchone()
    if young is not None:
        (last,) = connection.execute(_LAST_EXPIRED, values | {"before": young}).fetchone()
    return last


# The column lists are all that these are made of; values are always bound.
_ADD_BAN = f"""
    INSERT INTO bans (row_key, patron_ref, {BANS}) VALUES (?, ?, NULL, ?, ?, ?, ?, ?, ?)
    RETURNING {BANS}
"""  # noqa: S608 -- as said
_LIFT = f"UPDATE bans SET lifted_ms = ? WHERE number = ? AND lifted_ms IS NULL RETURNING {BANS}"  # noqa: S608 -- as said
_CHANGE_BAN = f"""
    UPDATE bans SET ({BANS.partition(", ")[2]}) = (?, ?, ?, ?, ?, ?)
    WHERE number = ? AND lifted_ms IS NULL RETURNING {BANS}
"""  # noqa: S608 -- as said
_CHANGE_PASS = f"""
    UPDATE passes SET ({PASSES.partition(", ")[2]}) = ({", ".join("?" * 13)})
    WHERE number = ? AND revoked_ms IS NULL RETURNING {PASSES}
"""  # noqa: S608 -- as said
_ADD_PASS = f"""
    INSERT INTO passes (row_key, {PASSES}) VALUES (?, NULL, {", ".join("?" * 13)})
    RETURNING {PASSES}
"""  # noqa: S608 -- as said
_REVOKE = f"""
    UPDATE passes SET revoked_ms = ? WHERE number = ? AND revoked_ms IS NULL RETURNING {PASSES}
"""  # noqa: S608 -- as said
_END_OVERRIDE = f"""
    UPDATE overrides SET ended_ms = :now, ended_by = :by
    WHERE number = (SELECT max(number) FROM overrides) AND ended_ms IS NULL
    AND (until_ms > :now OR mode = 'lockdown')
    RETURNING {OVERRIDES}
"""  # noqa: S608 -- as said
_SAID = "INSERT OR REPLACE INTO day_sources (source, known_until, fetched_ms) VALUES (?, ?, ?)"
_SET_WEEK = "INSERT OR REPLACE INTO week (only, spans) VALUES (1, ?)"
_TAKEN = """
    SELECT count(*) FROM passes WHERE row_key = ? AND revoked_ms IS NULL AND last_day >= ?
"""
_CODES = """
    SELECT count(*) FROM passes WHERE code_digits = ? AND revoked_ms IS NULL AND last_day >= ?
"""
_ADD_OVERRIDE = f"INSERT INTO overrides ({OVERRIDES}, set_ms) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- as said


class BranchRecordsWriter(Writer):
    """Write ``branch.db``. Belongs to the thread that makes it.

    The file must exist. Each call also deletes what ended more than a month ago, and then rewrites
    the file without it. If a reader or the disk prevents that, the next call or start does it.
    Raises as `Writer`.
    """

    def __init__(self, path: Path) -> None:
        # A lock without a database would say that there was one.
        if not path.exists():
            raise StoreError(f"{path} is missing; {CURE}")
        super().__init__(path, migrations, checkpoints=True)
        self._stale = True
        self._compact_if_stale()

    def execute(
        self, sql: str, values: tuple[object, ...] | Mapping[str, object] = ()
    ) -> sqlite3.Cursor:
        """Run a statement on the file's other tables; raises StoreError."""
        with translated(self.path):
            return self.database.execute(sql, values)

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""
        refuse_ban(ban, moment, row_key, patron_ref)
        with self.together(moment) as connection:
            values = (row_key, patron_ref, *from_ban(ban))
            return to_ban(connection.execute(_ADD_BAN, values).fetchone())

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it. One that is lifted or unknown is refused."""
        absent = InputError("there is no ban {n} that could be lifted; list them", n=str(number))
        return to_ban(self._changed(_LIFT, (to_ms(known(moment)), number), moment, absent))

    def change_ban(self, ban: Ban, moment: Moment) -> Ban:
        """Store a ban as it is from now on; return it."""
        refuse_ban(ban, moment, None, "known")
        absent = InputError("there is no ban of that number; list them")
        values = (*from_ban(ban), ban.number)
        return to_ban(self._changed(_CHANGE_BAN, values, moment, absent))

    def change_pass(self, held: Pass, moment: Moment) -> Pass:
        """Store a pass as it is from now on; return it."""
        refuse_pass(held, moment)
        absent = InputError("there is no pass of that number")
        values = (*from_pass(held), held.number)
        return to_pass(self._changed(_CHANGE_PASS, values, moment, absent))

    def _changed(
        self, sql: str, values: tuple[object, ...], moment: Moment, absent: InputError
    ) -> tuple[object, ...]:
        with self.together(moment) as connection:
            record: tuple[object, ...] | None = connection.execute(sql, values).fetchone()
            if record is None:
                raise absent
        return record

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number.

        Refused where the code has one already or the card as many as it may, and where one of the
        codes could be guessed.
        """
        refuse_pass(new, moment)
        day = today(moment)
        with self.together(moment) as connection:
            _refuse_one_more(connection, new, row_key, day)
            values = (row_key, *from_pass(new))
            return to_pass(connection.execute(_ADD_PASS, values).fetchone())

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it."""
        absent = InputError("there is no pass {n} that could be revoked; list them", n=str(number))
        return to_pass(self._changed(_REVOKE, (to_ms(known(moment)), number), moment, absent))

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> None:
        """Replace a source's days from today on."""
        listed = tuple(sorted(days, key=lambda day: day.day))
        refuse_days(listed, moment)
        until = maybe(date.isoformat, known_until)
        with self.together(moment) as connection:
            ahead = (source.value, today(moment).isoformat())
            connection.execute("DELETE FROM days WHERE source = ? AND day >= ?", ahead)
            connection.executemany(
                "INSERT INTO days (source, day, spans, note) VALUES (?, ?, ?, ?)",
                (
                    (source.value, day.day.isoformat(), from_spans((day.spans,)), day.note)
                    for day in listed
                ),
            )
            connection.execute(_SAID, (source.value, until, to_ms(known(moment))))

    def set_week(self, week: StoredWeek, moment: Moment) -> None:
        """Replace the usual week."""
        with self.together(moment) as connection:
            connection.execute(_SET_WEEK, (from_spans(week.days),))

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other."""
        refuse_override(override, moment)
        now_ms = to_ms(known(moment))
        with self.together(moment) as connection:
            connection.execute(_END_OVERRIDE, {"now": now_ms, "by": None}).fetchall()
            connection.execute(_ADD_OVERRIDE, (*from_override(override), now_ms))

    def end_override(self, moment: Moment, by: str = "") -> Override:
        """End the mode set by hand, for the login or account `by`; return it."""
        with self.together(moment) as connection:
            end = {"now": to_ms(known(moment)), "by": by}
            records = connection.execute(_END_OVERRIDE, end).fetchall()
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
            connection.executemany(
                "INSERT INTO wrong_pins_elsewhere (patron_ref, wrong, day) VALUES (?, ?, ?)", rows
            )
            if {ref for ref, _, _ in held} - elsewhere.keys():
                self.rewrite_after()

    def rewrite_after(self) -> None:
        """Rewrite the file after the transaction under way, because rows were erased."""
        self._stale = True

    @contextmanager
    def together(self, moment: Moment) -> Iterator[sqlite3.Connection]:
        """Make a block one transaction that an exception undoes; the outermost commits."""
        if self.database.in_transaction:
            yield self.database
            return
        with self.transaction() as connection:
            yield connection
            deleted = delete_ended(connection, moment)
        self._stale = self._stale or deleted
        self._compact_if_stale()

    def _compact_if_stale(self) -> None:
        # The commit is durable by now: no failure here may say otherwise.
        if self._stale:
            with suppress(StoreError):
                self._stale = self.compact() != (0, 0, 0)


def create_branch(path: Path) -> None:
    """Create an empty file without bans, passes or hours; raises as `create_file`."""
    create_file(path, migrations)
    BranchRecordsWriter(path).close()


def open_or_create_branch(path: Path) -> BranchRecordsWriter:
    """Open the writer, on an empty file if the branch never had one; raises as the writer."""
    if never_made(path):
        create_file(path, migrations)
    return BranchRecordsWriter(path)
