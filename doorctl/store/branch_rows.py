"""The tables of ``branch.db``: their migrations, and each record as a row and back.

They name nobody: a card or code is stored under its row key, a patron under the library system's
opaque number.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection
from datetime import date
from typing import Any

import orjson

from doorctl.access.calendar import Day, Mode, ModeSpan, Span
from doorctl.access.day import Override
from doorctl.access.rights import MIN_CODE_DIGITS, Ban, Pass, PassKind, guessable
from doorctl.accounts.account import Account, Origin, Role
from doorctl.accounts.sessions import Session
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.core.standing import AlarmRecord, Source
from doorctl.ports import Week
from doorctl.privacy.audit import Action, Deed, Entry, account, erased_before
from doorctl.store import kept_twice
from doorctl.store.connection import Layout
from doorctl.store.visit_rows import from_ms, to_ms

FACTOR = "EXISTS (SELECT 1 FROM second_factors AS factor WHERE factor.account = login)"
"""Whether an account has a second factor."""

FACTOR_KEY = "second_factor.key"
"""The file beside the database with the key that apps' secrets are sealed with: no copy of
``branch.db`` holds them in the clear. A backup without it leaves the recovery codes."""

ACCOUNTS = f"login, shown, role, disabled_ms, must_change, origin, subject, {FACTOR}"
"""All that an account is, in the order of :func:`to_account`."""

SESSIONS = "account, boot_id, began_boot_ms, seen_boot_ms"
"""All that a session is, in the order of :func:`to_session`."""


def to_account(record: tuple[Any, ...]) -> Account:
    """Return the account of a record of :data:`ACCOUNTS`.

    Raises:
        TypeError, ValueError: it is no such record; the text may quote it.
    """
    login, shown, role, disabled_ms, must_change, origin, subject, factor = record
    return Account(
        name=login,
        shown=shown,
        role=Role(role),
        disabled=disabled_ms is not None,
        must_change=bool(must_change),
        origin=Origin(origin),
        subject=subject,
        second_factor=bool(factor),
    )


def to_session(record: tuple[Any, ...]) -> Session:
    """Return the session of a record of :data:`SESSIONS`.

    Raises:
        TypeError, ValueError: it is no such record.
    """
    account, boot_id, began_ms, seen_ms = record
    return Session(account, BootTime(boot_id, began_ms), BootTime(boot_id, seen_ms))


# The table of alarms names nobody but staff.

ALARMS = "kind, source, first_ms, last_ms, count, why, cleared_ms, acknowledged_by, acknowledged_ms"
"""All that an alarm is, in the order of :func:`to_alarm`."""


def to_alarm(record: tuple[Any, ...]) -> AlarmRecord:
    """Return the alarm of a record of :data:`ALARMS`.

    Raises:
        TypeError, ValueError: it is no such record; the text may quote it.
    """
    kind, source, first_ms, last_ms, count, why, cleared_ms, by, acknowledged_ms = record
    return AlarmRecord(
        kind=kind,
        source=Source(source),
        since=from_ms(first_ms),
        last=from_ms(last_ms),
        count=count,
        why=why,
        cleared_at=None if cleared_ms is None else from_ms(cleared_ms),
        acknowledged_by=by,
        acknowledged_at=None if acknowledged_ms is None else from_ms(acknowledged_ms),
    )


ABOUT = """
    record IS NOT NULL AND (
        json_extract(record, '$.patron_ref') = :patron_ref OR EXISTS (
            SELECT 1 FROM json_each(record, '$.cards')
            WHERE value IN (SELECT value FROM json_each(:cards))
        )
    )
"""
"""Which records name one of some cards or a patron; see :func:`about_values`."""

ERASE_ABOUT = f"UPDATE audit SET record = NULL, salt = NULL WHERE {ABOUT} RETURNING number"  # noqa: S608 -- constants

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
_END = 2**63 - 1


def erase_expired(connection: sqlite3.Connection, moment: Moment) -> int:
    """Erase the records that are too old to keep; return how many."""
    cutoff = erased_before(moment)
    if cutoff is None:
        return 0
    last = _last_expired(connection, to_ms(cutoff), to_ms(moment.local))
    return 0 if last is None else connection.execute(_ERASE_TO, (last,)).rowcount


def _last_expired(connection: sqlite3.Connection, cutoff_ms: int, now_ms: int) -> int | None:
    values = {"cutoff": cutoff_ms, "now": now_ms, "untrusted": ClockState.UNTRUSTED.value}
    last: int | None = connection.execute(_LAST_EXPIRED, values | {"before": _END}).fetchone()[0]
    if last is None:
        return None
    # One that a good clock was wrong about, years behind, makes nothing old that is before it.
    (young,) = connection.execute(_FIRST_YOUNG, values | {"before": last}).fetchone()
    if young is not None:
        (last,) = connection.execute(_LAST_EXPIRED, values | {"before": young}).fetchone()
    return last


def about_values(cards: Collection[bytes], patron_ref: str | None) -> dict[str, str | None]:
    """Return the parameters of :data:`ABOUT`."""
    return {
        "patron_ref": patron_ref,
        "cards": orjson.dumps([card.hex() for card in cards]).decode(),
    }


def from_deed(deed: Deed, by: str, moment: Moment) -> bytes:
    """Return the record of a deed, as JSON."""
    record = {
        "at_ms": to_ms(moment.local),
        "clock": moment.state.value,
        "by": account(by),
        "action": deed.action.value,
        "cards": [card.hex() for card in deed.cards],
        "patron_ref": deed.patron_ref,
        "why": deed.why,
        "details": dict(deed.details),
    }
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def to_entry(number: int, record: str) -> Entry:
    """Return the entry of a record that :func:`from_deed` made.

    Raises:
        TypeError, ValueError, LookupError: it did not make it; the text may quote the record.
    """
    read: dict[str, Any] = orjson.loads(record)
    deed = Deed(
        action=Action(read["action"]),
        cards=tuple(map(bytes.fromhex, read["cards"])),
        patron_ref=read["patron_ref"],
        why=read["why"],
        details=read["details"],
    )
    return Entry(number, from_ms(read["at_ms"]), ClockState(read["clock"]), read["by"], deed)


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


_SCHEMA = (
    # AUTOINCREMENT, so that a number in a letter is never reused.
    """
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
        twice TEXT,
        CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
    ) STRICT
    """,
    "CREATE INDEX bans_by_card ON bans (row_key)",
    "CREATE INDEX bans_by_patron ON bans (patron_ref)",
    """
    CREATE TABLE passes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        row_key BLOB NOT NULL CHECK (length(row_key) = 16),
        kind TEXT NOT NULL,
        first_day TEXT NOT NULL,
        last_day TEXT NOT NULL,
        weekdays TEXT NOT NULL,
        from_minute INTEGER NOT NULL,
        to_minute INTEGER NOT NULL,
        more_times TEXT NOT NULL,
        outside_hours INTEGER NOT NULL,
        needs_pin INTEGER NOT NULL,
        pin_check BLOB CHECK (length(pin_check) = 32),
        code_digits INTEGER,
        companions_max INTEGER NOT NULL,
        label TEXT NOT NULL,
        revoked_ms INTEGER,
        twice TEXT
    ) STRICT
    """,
    "CREATE INDEX passes_by_card ON passes (row_key)",
    """
    CREATE TABLE days (
        source TEXT NOT NULL,
        day TEXT NOT NULL,
        spans TEXT NOT NULL,
        note TEXT NOT NULL,
        twice TEXT,
        PRIMARY KEY (source, day)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE day_sources (
        source TEXT NOT NULL PRIMARY KEY,
        known_until TEXT,
        fetched_ms INTEGER NOT NULL,
        twice TEXT
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE week (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        days TEXT NOT NULL,
        twice TEXT
    ) STRICT
    """,
    """
    CREATE TABLE overrides (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        mode TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        cause TEXT NOT NULL,
        by TEXT NOT NULL,
        set_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        twice TEXT
    ) STRICT
    """,
    """
    CREATE TABLE settings (
        key TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE restrictions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        row_key BLOB CHECK (length(row_key) = 16),
        patron_ref TEXT CHECK (patron_ref <> ''),
        since_ms INTEGER NOT NULL,
        by TEXT NOT NULL,
        twice TEXT,
        CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
    ) STRICT
    """,
    "CREATE INDEX restrictions_by_card ON restrictions (row_key)",
    "CREATE INDEX restrictions_by_patron ON restrictions (patron_ref)",
    # Of erased persons: see `doorctl.privacy.subject`.
    """
    CREATE TABLE tombstones (
        mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 16),
        erasure INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        erased_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE tombstone_salt (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        salt BLOB NOT NULL CHECK (length(salt) = 16)
    ) STRICT
    """,
    # In the audit log's table rows can be added and their records erased; no more.
    #
    # A person who can write the file can drop the triggers too. They are against slips of ours;
    # against tampering there is the chain, see `doorctl.privacy.audit`.
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        record TEXT,
        salt BLOB CHECK (length(salt) = 32),
        commitment BLOB NOT NULL CHECK (length(commitment) = 32),
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        CHECK ((record IS NULL) = (salt IS NULL))
    ) STRICT
    """,
    """
    CREATE INDEX audit_by_time ON audit (json_extract(record, '$.at_ms')) WHERE record IS NOT NULL
    """,
    # REPLACE deletes without asking the next trigger, so an old number is refused here.
    """
    CREATE TRIGGER audit_grows BEFORE INSERT ON audit
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit) OR NEW.record IS NULL
    BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END
    """,
    """
    CREATE TRIGGER audit_stays BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log loses no entry'); END
    """,
    """
    CREATE TRIGGER audit_erases BEFORE UPDATE ON audit
    WHEN NEW.record IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.number IS NOT OLD.number
        OR NEW.commitment IS NOT OLD.commitment OR NEW.hash IS NOT OLD.hash
    BEGIN SELECT RAISE(ABORT, 'a record of the audit log can only be erased'); END
    """,
    """
    CREATE TABLE accounts (
        login TEXT NOT NULL PRIMARY KEY,
        shown TEXT NOT NULL,
        role TEXT NOT NULL,
        disabled_ms INTEGER,
        must_change INTEGER NOT NULL,
        origin TEXT NOT NULL,
        subject TEXT UNIQUE,
        password TEXT,
        used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE second_factors (
        account TEXT NOT NULL PRIMARY KEY REFERENCES accounts (login) ON DELETE CASCADE,
        secret BLOB NOT NULL,
        step INTEGER NOT NULL,
        recovery BLOB NOT NULL CHECK (length(recovery) % 32 = 0)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sessions (
        digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        account TEXT NOT NULL REFERENCES accounts (login) ON DELETE CASCADE,
        boot_id TEXT NOT NULL,
        began_boot_ms INTEGER NOT NULL,
        seen_boot_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX sessions_by_account ON sessions (account)",
    """
    CREATE TABLE sign_in_failures (
        mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 8),
        count INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        boot_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sign_in_salt (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        salt BLOB NOT NULL CHECK (length(salt) = 32)
    ) STRICT
    """,
    """
    CREATE TABLE alarms (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        count INTEGER NOT NULL,
        why TEXT NOT NULL,
        cleared_ms INTEGER,
        acknowledged_by TEXT,
        acknowledged_ms INTEGER,
        CHECK ((acknowledged_by IS NULL) = (acknowledged_ms IS NULL))
    ) STRICT
    """,
    # One of each kind stands at the most, so what stands is no longer than the list of kinds.
    "CREATE UNIQUE INDEX alarms_standing ON alarms (kind) WHERE cleared_ms IS NULL",
    """
    CREATE TABLE wrong_pins_elsewhere (
        patron_ref TEXT NOT NULL PRIMARY KEY,
        wrong INTEGER NOT NULL,
        day TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)


@migrations()
def release_0_2(database: sqlite3.Connection) -> None:
    """Lay out all tables."""
    for statement in _SCHEMA:
        database.execute(statement)
    for table, size in (("tombstone_salt", 16), ("sign_in_salt", 32)):
        database.execute(f"INSERT INTO {table} VALUES (1, ?)", (secrets.token_bytes(size),))  # noqa: S608 -- ours
    for table, (key, columns) in DECIDING.items():
        kept_twice.keep(database, table, key, columns)


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
        TypeError, ValueError: :func:`from_spans` did not write it.
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
        TypeError, ValueError: :func:`from_spans` did not write them.
    """
    return tuple(
        tuple(ModeSpan(Mode(mode), starts, ends) for mode, starts, ends in day)
        for day in orjson.loads(text)
    )


def new_code(digits: int = MIN_CODE_DIGITS) -> Identifier:
    """Draw a code that nobody tries first; 85 % of the six-digit codes remain.

    The operating system's generator draws it; it is derived from nothing. Staff see the digits
    once, after ``code:`` in the identifier, and they are stored nowhere; a lost code is revoked
    and replaced. A code that is taken is refused when it is issued: draw another then.
    """
    while guessable(code := f"{secrets.randbelow(10**digits):0{digits}}"):
        pass
    return Identifier(IdentifierKind.CODE, code)
