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

_BY_TIME = (
    "DELETE FROM bans WHERE min(coalesce(lifted_ms, until_ms), coalesce(until_ms, lifted_ms)) < ?",
    "DELETE FROM passes WHERE revoked_ms < ?",
    "DELETE FROM tombstones WHERE until_ms < ?",
    "DELETE FROM overrides WHERE min(coalesce(ended_ms, until_ms), until_ms) < ?",
    "DELETE FROM alarms WHERE cleared_ms < ?",
)
_BY_DAY = (
    "DELETE FROM passes WHERE last_day < ?",
    "DELETE FROM days WHERE day < ?",
)


def delete_ended(connection: sqlite3.Connection, moment: Moment) -> bool:
    """Delete what ended more than :data:`KEPT_AFTER_END` ago; tell whether there was any.

    Bans without an end stay until they are lifted, and the audit log keeps its records for longer.
    Nothing is deleted while the clock is not set.
    """
    if not moment.dependable:
        return False
    cutoff = known(moment) - KEPT_AFTER_END
    first_day = today(moment) - KEPT_AFTER_END
    deleted = 0
    for statement in _BY_TIME:
        deleted += connection.execute(statement, (to_ms(cutoff),)).rowcount
    for statement in _BY_DAY:
        deleted += connection.execute(statement, (first_day.isoformat(),)).rowcount
    return erase_expired(connection, moment) + deleted > 0
