"""Erase a person's rows in each database, by the connection that writes it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.audit_chain import erased_numbers
from doorctl.privacy.erasure import HeldVisit, PartErased
from doorctl.privacy.subject import Subject
from doorctl.privacy.tables import BRANCH, PATRONS
from doorctl.privacy.tombstones import Tombstones
from doorctl.store.branch import known
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.door_log import HELD
from doorctl.store.patrons_guard import RECOUNT
from doorctl.store.records import AuditTrail
from doorctl.store.tables import (
    WRONG_PINS,
    from_ms,
    person_tables,
    to_ms,
)
from doorctl.store.tombstones import set_up
from doorctl.store.writer import Writer
from doorctl.store.wrong_pins import TAKE_BACK_WRONG_PIN

if TYPE_CHECKING:
    # Web does without.
    from doorctl.store.visits import VisitStore
from doorctl.store.subject import belongs


def delete(connection: sqlite3.Connection, database: str, subject: Subject) -> int:
    """Delete all rows of a person in one database, in the caller's transaction; return how many."""
    deleted = 0
    # What depends on a row comes before it, so that it is counted and not taken along.
    for table in reversed(person_tables(database)):
        where, values = belongs(table, subject)
        deleted += connection.execute(f"DELETE FROM {table.name} WHERE {where}", values).rowcount  # noqa: S608 -- as said
    return deleted


def erase_rights(
    writer: BranchRecordsWriter,
    subject: Subject,
    epoch: int,
    by: str,
    moment: Moment,
    *,
    why: str = "",
) -> PartErased:
    """Erase a person's bans, passes, restrictions and audit records, and set a tombstone.

    The audit log says by whom, why and which entries were erased, and not whose they were. Raises
    InputError: the reason may not be recorded; nothing was changed.
    """
    audit = AuditTrail(writer)
    with writer.together(moment) as connection:
        deleted = delete(connection, BRANCH, subject)
        erased = audit.erase_about(subject.row_keys, subject.patron_ref, moment)
        deleted += len(erased)
        set_up(connection, subject, epoch, known(moment))
        deed = Deed(
            Action.SUBJECT_ERASED, why=why, details={"rows": deleted, **erased_numbers(erased)}
        )
        audit.append(deed, by, moment)
    return PartErased(deleted, writer.compact())


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

_RESTORED = {
    "patrons": "SELECT row_key, patron_ref, epoch, '' FROM patrons",
    "asked": "SELECT row_key, patron_ref, 0, learnt_on FROM asked",
    "shut_out": "SELECT row_key, '', 0, '' FROM shut_out",
}


def erase_patron(register: Writer, subject: Subject) -> PartErased:
    """Erase a person from the register; it still holds the same push."""
    with register.transaction() as connection:
        deleted = delete(connection, PATRONS, subject)
        connection.execute(RECOUNT)
        (epoch,) = connection.execute("SELECT epoch FROM cache").fetchone()
    return PartErased(deleted, register.compact(), epoch)


def erase_visits(visits: VisitStore, subject: Subject) -> PartErased:
    """Erase a person's visits and wrong PINs, but for visits under a hold, which are returned.

    An open attempt keeps its number and loses its card: the door has yet to record its end.
    """
    keys = tuple(sorted(subject.row_keys))
    marks = ", ".join("?" * len(keys))
    with visits.transaction() as connection:
        records = connection.execute(_HOLDS.format(marks=marks), keys).fetchall()
        deleted = connection.execute(_KEEP_OPEN.format(marks=marks), keys).rowcount
        for statement in (_ERASE_VISITS, _ERASE_THROTTLES):
            deleted += connection.execute(statement.format(marks=marks), keys).rowcount
        where, values = belongs(WRONG_PINS, subject)
        deleted += connection.execute(f"DELETE FROM wrong_pins WHERE {where}", values).rowcount  # noqa: S608 -- as said
    held = tuple(HeldVisit(number, case, from_ms(until)) for number, case, until in records)
    return PartErased(deleted, visits.compact(), held=held)


def forget_erased(visits: VisitStore, tombstones: Tombstones) -> int:
    """Delete what a hold or a restored file left of erased persons; return how many rows.

    What is newer than the erasure stays: the person has come again. Part of a purge, before it
    compacts.
    """
    if not tombstones.by_mark:
        return 0
    deleted = 0
    with visits.transaction() as connection:
        for row_key, _ in connection.execute(_CARDS).fetchall():
            stone = tombstones.of_card(row_key)
            if stone is not None:
                last = (row_key, to_ms(stone.erased_at))
                deleted += connection.execute(_FORGET_VISITS, last).rowcount
                deleted += connection.execute(_FORGET_THROTTLE, last).rowcount
        for attempt, row_key, patron_ref, day in connection.execute(_WRONG_PINS).fetchall():
            stone = tombstones.of_card(row_key or b"") or tombstones.of_patron(patron_ref or "")
            if stone is not None and day <= stone.erased_at.date().isoformat():
                deleted += connection.execute(TAKE_BACK_WRONG_PIN, (attempt,)).rowcount
    return deleted


def forget_restored(register: Writer, tombstones: Tombstones, epoch: int) -> int:
    """Delete from a register what an older copy of it brought back; return how many rows.

    Reads the whole register, but only if its push is not newer than an erasure. What the library
    system said of a card on the day of the erasure or later stays.
    """
    standing, deleted = tombstones.against(epoch), 0
    if not standing.by_mark:
        return 0
    with register.transaction() as connection:
        for table, rows in _RESTORED.items():
            keys = [(key,) for key in _restored(connection, rows, standing)]
            connection.executemany(f"DELETE FROM {table} WHERE row_key = ?", keys)  # noqa: S608 -- ours
            deleted += len(keys)
        connection.execute(RECOUNT)
    if deleted:
        register.compact()
    return deleted


def _restored(connection: sqlite3.Connection, rows: str, standing: Tombstones) -> list[bytes]:
    return [
        key
        for key, patron_ref, epoch, day in connection.execute(rows)
        if (stone := standing.of_row(key, patron_ref)) is not None
        and epoch <= stone.epoch
        and day < stone.erased_at.date().isoformat()
    ]
