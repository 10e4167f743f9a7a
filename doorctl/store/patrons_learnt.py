"""What the library system said of a card and no push did: PIN checks, and whole rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import date, datetime

from doorctl.ports import SealedRow
from doorctl.store.patron_rows import COLUMNS, to_record

_ASKED = ("row_key", *COLUMNS.split(", "), "learnt_on", "good_until", "asked_until")
# The constants above are all that these are made of; values are always bound.
_KEEP_ROW = f"""
    INSERT OR REPLACE INTO asked ({", ".join(_ASKED)}) VALUES ({", ".join("?" * len(_ASKED))})
"""  # noqa: S608 -- as said
_KEEP_CHECK = """
    INSERT OR REPLACE INTO learnt (row_key, pin_check, weak_pin, learnt_on, good_until)
    VALUES (?, ?, ?, ?, ?)
"""
_FORGET_CHANGED = (
    "DELETE FROM learnt WHERE row_key = ? AND learnt_on <= ?",
    "DELETE FROM asked WHERE row_key = ? AND learnt_on <= ?",
)
_HAND_ON = """
    INSERT INTO learnt (row_key, pin_check, weak_pin, learnt_on, good_until)
    SELECT asked.row_key, asked.pin_check, asked.weak_pin, learnt_on, good_until
    FROM asked JOIN patrons ON patrons.row_key = asked.row_key WHERE patrons.pin_check IS NULL
"""
_REPLACE_ALL = "DELETE FROM asked"
_REPLACE_MENTIONED = """
    DELETE FROM asked
    WHERE EXISTS (SELECT 1 FROM patrons WHERE patrons.row_key = asked.row_key)
    OR EXISTS (
        SELECT 1 FROM patrons WHERE patrons.patron_ref = asked.patron_ref AND epoch = :epoch
    )
"""
_REMOVE_ONE = "DELETE FROM asked WHERE patron_ref = ?"
_FORGET_OLD = (
    "DELETE FROM learnt WHERE good_until < ?",
    "DELETE FROM asked WHERE asked_until < ?",
)


def keep(
    connection: sqlite3.Connection,
    row: SealedRow,
    *,
    row_until: date | None,
    pin_until: date,
    learnt_on: date,
) -> None:
    """Keep a row, or its PIN check where a push brought the row; in the caller's transaction.

    See `PatronWriter.keep`.
    """
    days = (learnt_on.isoformat(), pin_until.isoformat())
    pushed = connection.execute(
        "SELECT pin_check FROM patrons WHERE row_key = ?", (row.row_key,)
    ).fetchone()
    if pushed is None and row_until is not None:
        connection.execute(_KEEP_ROW, to_record(row, *days, row_until.isoformat()))
    elif pushed is not None and pushed[0] is None:
        check = (row.patron.pin_check, row.patron.weak_pin)
        connection.execute(_KEEP_CHECK, (row.row_key, *check, *days))


def forget_changed(connection: sqlite3.Connection, batch: Iterable[SealedRow]) -> None:
    """Forget what was learnt before a PIN was changed; a batch of a push that was just put."""
    changed = [
        (row.row_key, row.pin_changed.isoformat()) for row in batch if row.pin_changed is not None
    ]
    for statement in _FORGET_CHANGED if changed else ():
        connection.executemany(statement, changed)


def give_way(
    connection: sqlite3.Connection, epoch: int, at: datetime | None, *, full: bool
) -> None:
    """Let rows go that a push makes needless: once its rows are put, before others are removed.

    A row that the push brings without a PIN check gets the check that was learnt for it. SQLite
    itself deletes the checks of removed rows.

    Args:
        connection: in the push's transaction.
        epoch: the push's number.
        at: now, UTC; None for not known: then nothing goes by its date.
        full: whether it is the whole register.
    """
    connection.execute(_HAND_ON)
    if full:
        connection.execute(_REPLACE_ALL)
    else:
        connection.execute(_REPLACE_MENTIONED, {"epoch": epoch})
    if at is not None:
        _forget_old(connection, at)


def forget_patrons(connection: sqlite3.Connection, patron_refs: Iterable[str]) -> None:
    """Forget the whole rows of patrons whom a push removes."""
    connection.executemany(_REMOVE_ONE, ((ref,) for ref in patron_refs))


def _forget_old(connection: sqlite3.Connection, at: datetime) -> None:
    # A day ends earlier in Denmark than in UTC: nothing goes before its last day is over.
    today = at.date().isoformat()
    for statement in _FORGET_OLD:
        connection.execute(statement, (today,))
