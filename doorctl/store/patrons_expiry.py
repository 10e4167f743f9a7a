"""Rows that nobody confirms any more: a branch that is forgotten must forget."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

_STANDING = "SELECT applied_at FROM cache WHERE epoch > 0"
_FORGET = "DELETE FROM patrons"
_FORGET_ASKED = "DELETE FROM asked WHERE learnt_on < ?"
_STAMP = "UPDATE cache SET epoch = epoch + (epoch < 0x7FFFFFFFFFFFFFFF), digest = '', patrons = 0"
"""Another number: changes that follow on the push that is gone would leave everybody else out."""


def expire(connection: sqlite3.Connection, before: datetime) -> int:
    """Delete what was not confirmed since a time, in the caller's transaction; return how many.

    Each numbered push speaks for the whole register, so all its rows go or none. Rows that the
    library system itself was asked for go by the day on which it answered.

    Args:
        connection: of the cache's writer.
        before: aware.
    """
    at = before.astimezone(UTC)
    asked = connection.execute(_FORGET_ASKED, (at.date().isoformat(),)).rowcount
    standing = connection.execute(_STANDING).fetchone()
    if standing is None or standing[0] is None or datetime.fromisoformat(standing[0]) >= at:
        return asked
    gone: int = connection.execute(_FORGET).rowcount
    if gone:
        connection.execute(_STAMP)
    return gone + asked
