"""Deleting what ended long ago from ``branch.db``: it is about people too."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from doorctl.moments import Moment
from doorctl.store.audit_rows import erase_expired
from doorctl.store.branch_rules import known, today
from doorctl.store.visit_rows import to_ms

KEPT_AFTER_END = timedelta(days=30)
"""As long as visits are kept, which is the sector's standard (DPL CMS's privacy template)."""

LEAP = timedelta(days=2)
"""A time that is so much later than the last by which anything was deleted is not believed yet."""

SEEN_FOR = timedelta(hours=6)
"""How long such a time must have been seen; a clock that is wrong for an evening comes to no more.
Else it would delete every ban, tombstone and audit record for good."""

SEEN_FOR_AT_MOST = timedelta(days=60)
"""A time that is even later is another one, as of a battery clock that starts anywhere."""

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
    """Delete what ended more than :data:`KEPT_AFTER_END` ago; tell whether there was any.

    Bans without an end stay until they are lifted, and the audit log keeps its records for longer.
    Nothing is deleted while the clock is not set, nor before a time that has leapt ahead was seen
    for a while.
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
    """Tell whether a dependable time is one to delete by, and keep it in mind.

    What is kept outlives the process: a machine that is restarted every day forgets all the same.
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
    found: tuple[int] | None = connection.execute(_TIME, (key,)).fetchone()
    return None if found is None else found[0]
