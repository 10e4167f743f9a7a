"""What ended long ago in ``branch.db`` is about people too, so it is deleted."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import KEPT as KEPT_RECORDS
from doorctl.privacy.audit import erased_before
from doorctl.store.tables import from_ms, to_ms

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
    # What was written while the clock was not believed is at least as old as the carried time says.
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
