"""The tables of bans, passes and hours: their migrations, and each record as a row and back.

They name nobody: a card or code stands under the key of its row, a patron under the library
system's opaque number.
"""

from __future__ import annotations

import secrets
import sqlite3
from datetime import date
from typing import Any

import orjson

from doorctl.access.calendar import Day, Mode, ModeSpan
from doorctl.access.hours import Span
from doorctl.access.modes import Override
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.ports import Week
from doorctl.store import kept_twice
from doorctl.store.accounts_rows import ACCOUNTS_SCHEMA, FACTORS_SCHEMA
from doorctl.store.alarms_rows import ALARMS_SCHEMA
from doorctl.store.audit_rows import AUDIT_SCHEMA
from doorctl.store.older_file import Layout
from doorctl.store.visit_rows import from_ms, to_ms

WEEKDAYS = 7

BANS = "number, reason, since_ms, until_ms, by, branches, note"
"""All that a ban is, in the order of :func:`to_ban`."""

PASSES = (
    "number, kind, first_day, last_day, weekdays, from_minute, to_minute, outside_hours, "
    "needs_pin, pin_check, code_digits, companions_max, more_times, label"
)
"""All that a pass is, in the order of :func:`to_pass`."""

OVERRIDES = "mode, until_ms, cause, by"
"""All that an override is, in the order of :func:`to_override`."""

DECIDING = {
    "bans": ("number", "row_key, patron_ref, since_ms, until_ms, branches, lifted_ms"),
    "passes": (
        "number",
        f"row_key, {PASSES.removeprefix('number, ').removesuffix(', label')}, revoked_ms",
    ),
    "restrictions": ("number", "row_key, patron_ref"),
    "overrides": ("number", "mode, until_ms, ended_ms"),
    "week": ("only", "days"),
    "days": ("source, day", "source, day, spans"),
    "day_sources": ("source", "source, known_until"),
}
"""What is kept twice of the rows that the door decides by, after the columns that name a row."""

migrations = Layout("branch")


@migrations()
def create_bans_and_passes(database: sqlite3.Connection) -> None:
    """Lay out people's rights; AUTOINCREMENT, so that a letter's number never names another."""
    database.execute("""
        CREATE TABLE bans (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            row_key BLOB CHECK (length(row_key) = 16),
            patron_ref TEXT CHECK (patron_ref <> ''),
            reason TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            until_ms INTEGER,
            by TEXT NOT NULL,
            branches TEXT NOT NULL,
            note TEXT NOT NULL,
            lifted_ms INTEGER,
            CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
        ) STRICT
    """)
    database.execute("CREATE INDEX bans_by_card ON bans (row_key)")
    database.execute("CREATE INDEX bans_by_patron ON bans (patron_ref)")
    database.execute("""
        CREATE TABLE passes (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            row_key BLOB NOT NULL CHECK (length(row_key) = 16),
            kind TEXT NOT NULL,
            first_day TEXT NOT NULL,
            last_day TEXT NOT NULL,
            weekdays TEXT NOT NULL,
            from_minute INTEGER NOT NULL,
            to_minute INTEGER NOT NULL,
            outside_hours INTEGER NOT NULL,
            needs_pin INTEGER NOT NULL,
            pin_check BLOB CHECK (length(pin_check) = 32),
            code_digits INTEGER,
            companions_max INTEGER NOT NULL,
            label TEXT NOT NULL,
            revoked_ms INTEGER
        ) STRICT
    """)
    database.execute("CREATE INDEX passes_by_card ON passes (row_key)")


@migrations()
def create_hours(database: sqlite3.Connection) -> None:
    """Lay out the calendar, modes set by hand, and settings."""
    database.execute("""
        CREATE TABLE days (
            source TEXT NOT NULL,
            day TEXT NOT NULL,
            spans TEXT NOT NULL,
            note TEXT NOT NULL,
            PRIMARY KEY (source, day)
        ) STRICT, WITHOUT ROWID
    """)
    database.execute("""
        CREATE TABLE day_sources (
            source TEXT NOT NULL PRIMARY KEY,
            known_until TEXT,
            fetched_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
    """)
    database.execute("""
        CREATE TABLE week (
            only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
            days TEXT NOT NULL
        ) STRICT
    """)
    database.execute("""
        CREATE TABLE overrides (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            mode TEXT NOT NULL,
            until_ms INTEGER NOT NULL,
            cause TEXT NOT NULL,
            by TEXT NOT NULL,
            set_ms INTEGER NOT NULL,
            ended_ms INTEGER
        ) STRICT
    """)
    database.execute("""
        CREATE TABLE settings (
            key TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
    """)


@migrations()
def create_restrictions_and_tombstones(database: sqlite3.Connection) -> None:
    """Lay out whose data are kept and not used, and who was erased.

    A tombstone names nobody: see `doorctl.privacy.subject_tombstones`.
    """
    database.execute("""
        CREATE TABLE restrictions (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            row_key BLOB CHECK (length(row_key) = 16),
            patron_ref TEXT CHECK (patron_ref <> ''),
            since_ms INTEGER NOT NULL,
            by TEXT NOT NULL,
            CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
        ) STRICT
    """)
    database.execute("CREATE INDEX restrictions_by_card ON restrictions (row_key)")
    database.execute("CREATE INDEX restrictions_by_patron ON restrictions (patron_ref)")
    database.execute("""
        CREATE TABLE tombstones (
            mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 16),
            erasure INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            erased_ms INTEGER NOT NULL,
            until_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
    """)
    database.execute("""
        CREATE TABLE tombstone_salt (
            only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
            salt BLOB NOT NULL CHECK (length(salt) = 16)
        ) STRICT
    """)
    database.execute("INSERT INTO tombstone_salt VALUES (1, ?)", (secrets.token_bytes(16),))


@migrations()
def create_audit(database: sqlite3.Connection) -> None:
    """Lay out the audit log, which can only grow; see `doorctl.store.audit_rows`."""
    for statement in AUDIT_SCHEMA:
        database.execute(statement)


@migrations()
def create_accounts(database: sqlite3.Connection) -> None:
    """Lay out accounts, sessions and failed sign-ins; see `doorctl.store.accounts_rows`."""
    for statement in ACCOUNTS_SCHEMA:
        database.execute(statement)
    database.execute("INSERT INTO sign_in_salt VALUES (1, ?)", (secrets.token_bytes(32),))


@migrations()
def create_alarms(database: sqlite3.Connection) -> None:
    """Lay out the alarms that stand and stood; see `doorctl.store.alarms_rows`."""
    for statement in ALARMS_SCHEMA:
        database.execute(statement)


@migrations()
def create_second_factors(database: sqlite3.Connection) -> None:
    """Lay out second factors; see `doorctl.store.accounts_rows`."""
    database.execute(FACTORS_SCHEMA)


@migrations()
def create_wrong_pins_elsewhere(database: sqlite3.Connection) -> None:
    """Lay out how many wrong PINs patrons had at other branches, and when that was told."""
    database.execute("""
        CREATE TABLE wrong_pins_elsewhere (
            patron_ref TEXT NOT NULL PRIMARY KEY, wrong INTEGER NOT NULL, day TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
    """)


@migrations()
def keep_twice(database: sqlite3.Connection) -> None:
    """Let a wrong bit inside a value be found; see `doorctl.store.kept_twice`."""
    for table, (key, columns) in DECIDING.items():
        kept_twice.keep(database, table, key, columns.replace("more_times, ", ""))


@migrations()
def add_more_times(database: sqlite3.Connection) -> None:
    """Let a pass have more than one time of day; what is kept twice of it says them too."""
    for trigger in ("passes_changed", "passes_put"):
        database.execute(f"DROP TRIGGER {trigger}")
    database.execute(f"ALTER TABLE passes DROP COLUMN {kept_twice.TWICE}")
    database.execute("ALTER TABLE passes ADD COLUMN more_times TEXT NOT NULL DEFAULT ''")
    kept_twice.keep(database, "passes", *DECIDING["passes"])


def from_ban(ban: Ban) -> tuple[object, ...]:
    """Return a ban as the values of :data:`BANS` without its number."""
    until_ms = None if ban.until is None else to_ms(ban.until)
    branches = orjson.dumps(sorted(ban.branches)).decode()
    return ban.reason, to_ms(ban.since), until_ms, ban.by, branches, ban.note


def to_ban(record: tuple[Any, ...]) -> Ban:
    """Return the ban of a record of :data:`BANS`.

    Raises:
        TypeError, ValueError: :func:`from_ban` did not make the record; the text may quote it.
    """
    number, reason, since_ms, until_ms, by, branches, note = record
    return Ban(
        number=number,
        reason=reason,
        since=from_ms(since_ms),
        until=None if until_ms is None else from_ms(until_ms),
        by=by,
        branches=frozenset(orjson.loads(branches)),
        note=note,
    )


def from_pass(one: Pass) -> tuple[object, ...]:
    """Return a pass as the values of :data:`PASSES` without its number."""
    return (
        one.kind.value,
        one.first_day.isoformat(),
        one.last_day.isoformat(),
        "".join(map(str, sorted(one.weekdays))),
        one.from_minute,
        one.to_minute,
        one.outside_hours,
        one.needs_pin,
        one.pin_check,
        one.code_digits,
        one.companions_max,
        " ".join(f"{span.opens}-{span.closes}" for span in one.more_times),
        one.label,
    )


def to_pass(record: tuple[Any, ...]) -> Pass:
    """Return the pass of a record of :data:`PASSES`.

    Raises:
        TypeError, ValueError: :func:`from_pass` did not make the record; the text may quote it.
    """
    number, kind, first_day, last_day, weekdays, *times, outside, needs_pin = record[:9]
    pin_check, code_digits, companions_max, more_times, label = record[9:]
    return Pass(
        number=number,
        kind=PassKind(kind),
        first_day=date.fromisoformat(first_day),
        last_day=date.fromisoformat(last_day),
        weekdays=frozenset(map(int, weekdays)),
        from_minute=times[0],
        to_minute=times[1],
        outside_hours=bool(outside),
        needs_pin=bool(needs_pin),
        pin_check=pin_check,
        code_digits=code_digits,
        companions_max=companions_max,
        label=label,
        more_times=tuple(Span(*map(int, one.split("-"))) for one in more_times.split()),
    )


def from_override(override: Override) -> tuple[object, ...]:
    """Return an override as the values of :data:`OVERRIDES`."""
    return override.mode.value, to_ms(override.until), override.cause, override.by


def to_override(record: tuple[Any, ...]) -> Override:
    """Return the override of a record of :data:`OVERRIDES`.

    Raises:
        ValueError: :func:`from_override` did not make the record.
    """
    mode, until_ms, cause, by = record
    return Override(Mode(mode), from_ms(until_ms), cause, by)


def to_week(text: str) -> Week:
    """Return the week that :func:`from_spans` wrote.

    Raises:
        TypeError, ValueError: it did not write it.
    """
    week = to_spans(text)
    if len(week) != WEEKDAYS:
        raise ValueError("a week has seven days")
    return week


def from_spans(days: tuple[Day, ...]) -> str:
    """Return days' spans as JSON: for each day a list of mode, start and end in minutes."""
    lists = [[(span.mode.value, span.starts, span.ends) for span in day] for day in days]
    return orjson.dumps(lists).decode()


def to_spans(text: str) -> tuple[Day, ...]:
    """Return the spans that :func:`from_spans` wrote.

    Raises:
        TypeError, ValueError: it did not write them.
    """
    return tuple(
        tuple(ModeSpan(Mode(mode), starts, ends) for mode, starts, ends in day)
        for day in orjson.loads(text)
    )
