"""Erasing a person in the register and the door log, by the connection that writes it."""

from __future__ import annotations

import sqlite3
from itertools import chain
from pathlib import Path

from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_erasure import HeldVisit, PartErased
from doorctl.privacy.subject_table import PATRONS, VISITS, person_tables
from doorctl.privacy.subject_tombstones import Tombstones
from doorctl.store import subject_rows, wrong_pins
from doorctl.store.connection import transaction, translated
from doorctl.store.visit_purge import HELD, compact
from doorctl.store.visit_rows import from_ms, to_ms

# Names of tables and columns are all that these are made of; values are always bound.
_HOLDS = """
    SELECT attempt, case_number, max(until_ms) FROM attempts
    JOIN holds ON at_ms >= since_ms AND at_ms < to_ms WHERE row_key IN ({marks}) GROUP BY attempt
"""
_KEEP_OPEN = f"""
    UPDATE attempts SET row_key = NULL
    WHERE verdict IS NULL AND NOT {HELD} AND row_key IN ({{marks}})
"""  # noqa: S608 -- as said
_ERASE_VISITS = f"DELETE FROM attempts WHERE NOT {HELD} AND row_key IN ({{marks}})"  # noqa: S608 -- as said
_WRONG_PINS = "SELECT attempt, row_key, patron_ref, day FROM wrong_pins"
_ERASE_THROTTLES = "DELETE FROM throttles WHERE row_key IN ({marks})"
_CARDS = """
    SELECT row_key, max(at_ms) FROM attempts WHERE row_key IS NOT NULL GROUP BY row_key
    UNION SELECT row_key, touched_ms FROM throttles
"""
_FORGET_VISITS = f"DELETE FROM attempts WHERE NOT {HELD} AND row_key = ? AND at_ms <= ?"  # noqa: S608 -- as said
_FORGET_THROTTLE = "DELETE FROM throttles WHERE row_key = ? AND touched_ms <= ?"
WRONG_PINS = next(one for one in person_tables(VISITS) if one.name == "wrong_pins")
_PUSHED = "SELECT row_key, patron_ref, epoch, '' FROM patrons"
_ASKED = "SELECT row_key, patron_ref, 0, learnt_on FROM asked"
_SHUT_OUT = "SELECT row_key, '', 0, '' FROM shut_out"
_FORGET_PATRON = "DELETE FROM patrons WHERE row_key = ?"
_FORGET_ASKED = "DELETE FROM asked WHERE row_key = ?"
_FORGET_SHUT_OUT = "DELETE FROM shut_out WHERE row_key = ?"
_RECOUNT = "UPDATE cache SET patrons = (SELECT count(*) FROM patrons)"


def erase_patron(path: Path, database: sqlite3.Connection, subject: Subject) -> PartErased:
    """Erase a person from the register; the push that it holds stays the same."""
    with translated(path), transaction(database) as connection:
        deleted = subject_rows.delete(connection, PATRONS, subject)
        connection.execute(_RECOUNT)
        (epoch,) = connection.execute("SELECT epoch FROM cache").fetchone()
    return PartErased(deleted, _compacted(path, database), epoch)


def erase_visits(path: Path, database: sqlite3.Connection, subject: Subject) -> PartErased:
    """Erase a person's visits and wrong PINs.

    What an incident hold covers stays and is named. An attempt that is still open keeps its
    number and loses its card: the door has yet to say how it ended.
    """
    keys = tuple(sorted(subject.row_keys))
    marks = ", ".join("?" * len(keys))
    with translated(path), transaction(database) as connection:
        found = connection.execute(_HOLDS.format(marks=marks), keys).fetchall()
        deleted = connection.execute(_KEEP_OPEN.format(marks=marks), keys).rowcount
        for statement in (_ERASE_VISITS, _ERASE_THROTTLES):
            deleted += connection.execute(statement.format(marks=marks), keys).rowcount
        where, values = subject_rows.belongs(WRONG_PINS, subject)
        deleted += connection.execute(f"DELETE FROM wrong_pins WHERE {where}", values).rowcount  # noqa: S608 -- as said
    held = tuple(HeldVisit(number, case, from_ms(until)) for number, case, until in found)
    return PartErased(deleted, _compacted(path, database), held=held)


def forget_erased(path: Path, database: sqlite3.Connection, tombstones: Tombstones) -> int:
    """Delete what is left of erased persons: by a hold that has ended, or a restored file.

    What is newer than the erasure stays: the person has come again. Part of a purge, before it
    compacts; returns how many rows were deleted.
    """
    if not tombstones.by_mark:
        return 0
    deleted = 0
    with translated(path), transaction(database) as connection:
        for row_key, _ in connection.execute(_CARDS).fetchall():
            stone = tombstones.of_card(row_key)
            if stone is not None:
                last = (row_key, to_ms(stone.erased_at))
                deleted += connection.execute(_FORGET_VISITS, last).rowcount
                deleted += connection.execute(_FORGET_THROTTLE, last).rowcount
        for attempt, row_key, patron_ref, day in connection.execute(_WRONG_PINS).fetchall():
            stone = tombstones.of_card(row_key or b"") or tombstones.of_patron(patron_ref or "")
            if stone is not None and day <= stone.erased_at.date().isoformat():
                deleted += connection.execute(wrong_pins.TAKE_BACK, (attempt,)).rowcount
    return deleted


def forget_restored(
    path: Path, database: sqlite3.Connection, tombstones: Tombstones, epoch: int
) -> int:
    """Delete from a register what an older copy of it brought back; return how many rows.

    Reads all of it, but only where it holds an older push than somebody's erasure, or the same.
    What the library system said of a card on the day of the erasure or later stays.
    """
    standing = tombstones.against(epoch)
    if not standing.by_mark:
        return 0
    with translated(path), transaction(database) as connection:
        doomed = (
            [(_FORGET_PATRON, key) for key in _restored(connection, _PUSHED, standing)],
            [(_FORGET_ASKED, key) for key in _restored(connection, _ASKED, standing)],
            [(_FORGET_SHUT_OUT, key) for key in _restored(connection, _SHUT_OUT, standing)],
        )
        for statement, key in chain(*doomed):
            connection.execute(statement, (key,))
        connection.execute(_RECOUNT)
    deleted = sum(map(len, doomed))
    if deleted:
        _compacted(path, database)
    return deleted


def _restored(connection: sqlite3.Connection, rows: str, standing: Tombstones) -> list[bytes]:
    return [
        key
        for key, patron_ref, epoch, day in connection.execute(rows)
        if (stone := standing.of_row(key, patron_ref)) is not None
        and epoch <= stone.epoch
        and day < stone.erased_at.date().isoformat()
    ]


def _compacted(path: Path, database: sqlite3.Connection) -> tuple[int, int, int]:
    # Deleted it is by now; what a reader keeps alive is told, and gone after another try.
    with translated(path):
        return compact(database)
