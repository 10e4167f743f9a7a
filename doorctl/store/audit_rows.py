"""The audit log's table in ``branch.db``: rows can be added, and their records erased; no more.

Whoever can write the file can drop the triggers too. They are against slips of ours; against
tampering there is the chain, see `doorctl.privacy.audit_chain`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any

import orjson

from doorctl.moments import ClockState, Moment
from doorctl.privacy.audit import Action, Deed, Entry, account, erased_before
from doorctl.store.visit_rows import from_ms, to_ms

AUDIT_SCHEMA = (
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
    """Erase the records that are older than they may be; return how many."""
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
    """Return the values that :data:`ABOUT` wants."""
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
        TypeError, ValueError, LookupError: it did not; the text may quote it.
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
