"""The table of holds: which windows of the door log staff have frozen, and until when."""

from __future__ import annotations

import sqlite3
from typing import Any

from doorctl.errors import InputError
from doorctl.privacy.hold import Hold
from doorctl.store.visit_rows import from_ms, to_ms

MOST_HOLDS = 20
"""More incidents at one time than any branch has; a script that adds one an hour ends here."""

_COLUMNS = "number, since_ms, to_ms, case_number, reason, until_ms, added_ms, added_by"

# The constant above is all that these are made of; values are always bound.
HOLDS = f"SELECT {_COLUMNS} FROM holds ORDER BY number"  # noqa: S608 -- as said
_ADD = f"INSERT INTO holds ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_LIFT = f"DELETE FROM holds WHERE number = ? RETURNING {_COLUMNS}"  # noqa: S608


def add(connection: sqlite3.Connection, hold: Hold) -> Hold:
    """Store a hold, in the caller's transaction; return it with its number.

    Raises:
        InputError: there are :data:`MOST_HOLDS` already.
    """
    (stored,) = connection.execute("SELECT count(*) FROM holds").fetchone()
    if stored >= MOST_HOLDS:
        raise InputError(f"there are {stored} holds already; lift those that are not needed")
    window = (to_ms(hold.since), to_ms(hold.to))
    why = (hold.case, hold.reason)
    times = (to_ms(hold.until), to_ms(hold.added_at))
    added = connection.execute(_ADD, (*window, *why, *times, hold.by)).lastrowid
    return hold.numbered(added or 0)


def lift(connection: sqlite3.Connection, number: int) -> Hold:
    """Delete a hold, in the caller's transaction; return it as it was.

    Raises:
        InputError: there is no such hold.
    """
    found = connection.execute(_LIFT, (number,)).fetchall()
    if not found:
        raise InputError(f"there is no hold {number}; list them with `doorctl hold list`")
    return to_hold(found[0])


def end(connection: sqlite3.Connection, now_ms: int) -> None:
    """Delete the holds whose end has come, in the caller's transaction."""
    connection.execute("DELETE FROM holds WHERE until_ms <= ?", (now_ms,))


def to_hold(record: tuple[Any, ...]) -> Hold:
    """Return the hold of a record of :data:`HOLDS`."""
    number, since_ms, to_ms_, case, reason, until_ms, added_ms, by = record
    return Hold(
        number=number,
        since=from_ms(since_ms),
        to=from_ms(to_ms_),
        case=case,
        reason=reason,
        until=from_ms(until_ms),
        added_at=from_ms(added_ms),
        by=by,
    )
