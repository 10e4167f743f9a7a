"""The tables of ``branch.db``: their migrations, and each record as a row and back.

A card or code is stored under its row key, a patron under the library system's opaque number.
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
from doorctl.accounts.account import Account, Origin, Role, Session
from doorctl.core.alarms import AlarmRecord, Source
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.audit import Action, Deed, Entry, account, erased_before
from doorctl.privacy.subject_table import BRANCH
from doorctl.store import tables
from doorctl.store.connection import Layout
from doorctl.store.tables import create_tables
from doorctl.store.visit_rows import from_ms, to_ms

FACTOR = "EXISTS (SELECT 1 FROM second_factors AS factor WHERE factor.account = login)"
"""Whether an account has a second factor."""

FACTOR_KEY = "second_factor.key"
"""The file with the key that seals the secrets of authenticator apps, so that no copy of
``branch.db`` holds them in the clear. With a backup that lacks it only the recovery codes work."""

ACCOUNTS = f"{tables.ACCOUNTS.but('password', 'used_ms')}, {FACTOR}"
"""The columns of an account, in the order of :func:`to_account`."""

SESSIONS = tables.SESSIONS.but("digest")
"""The columns of a session, in the order of :func:`to_session`."""


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

ALARMS = tables.ALARMS.but("number")
"""The columns of an alarm, in the order of :func:`to_alarm`."""


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
"""The condition for records that name one of the cards or the patron; see :func:`about_values`."""

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

BANS = tables.BANS.but("row_key", "patron_ref", "lifted_ms")
"""The columns of a ban, in the order of :func:`to_ban`."""

PASSES = tables.PASSES.but("row_key", "revoked_ms")
"""The columns of a pass, in the order of :func:`to_pass`."""

OVERRIDES = tables.OVERRIDES.but("number", "set_ms", "ended_ms")
"""The columns of an override, in the order of :func:`to_override`."""

migrations = Layout("branch")


@migrations()
def release_0_2(database: sqlite3.Connection) -> None:
    """Lay out all tables, and draw their salts."""
    create_tables(database, BRANCH)
    for table, size in (("tombstone_salt", 16), ("sign_in_salt", 32)):
        database.execute(f"INSERT INTO {table} VALUES (1, ?)", (secrets.token_bytes(size),))  # noqa: S608 -- ours


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


def from_pass(issued: Pass) -> tuple[object, ...]:
    """Return a pass as the values of :data:`PASSES` without its number."""
    return (
        issued.kind.value,
        issued.first_day.isoformat(),
        issued.last_day.isoformat(),
        "".join(map(str, sorted(issued.weekdays))),
        issued.from_minute,
        issued.to_minute,
        " ".join(f"{span.opens}-{span.closes}" for span in issued.more_times),
        issued.outside_hours,
        issued.needs_pin,
        issued.pin_check,
        issued.code_digits,
        issued.companions_max,
        issued.label,
    )


def to_pass(record: tuple[Any, ...]) -> Pass:
    """Return the pass of a record of :data:`PASSES`.

    Raises:
        TypeError, ValueError: :func:`from_pass` did not make the record; the text may quote it.
    """
    number, kind, first_day, last_day, weekdays, from_minute, to_minute, more_times = record[:8]
    outside, needs_pin, pin_check, code_digits, companions_max, label = record[8:]
    return Pass(
        number=number,
        kind=PassKind(kind),
        first_day=date.fromisoformat(first_day),
        last_day=date.fromisoformat(last_day),
        weekdays=frozenset(map(int, weekdays)),
        from_minute=from_minute,
        to_minute=to_minute,
        outside_hours=bool(outside),
        needs_pin=bool(needs_pin),
        pin_check=pin_check,
        code_digits=code_digits,
        companions_max=companions_max,
        label=label,
        more_times=tuple(Span(*map(int, span.split("-"))) for span in more_times.split()),
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
    """Draw a random code that is not an obvious guess; 85 % of the six-digit codes remain.

    The operating system's generator draws it; it is derived from nothing. Staff see the digits
    once, after ``code:`` in the identifier, and they are stored nowhere; a lost code is revoked
    and replaced. A code that is taken is refused when it is issued: draw another then.
    """
    while guessable(code := f"{secrets.randbelow(10**digits):0{digits}}"):
        pass
    return Identifier(IdentifierKind.CODE, code)
