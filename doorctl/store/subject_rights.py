"""Erasing and restricting a person in ``branch.db``, beside the audit log's word of it."""

from __future__ import annotations

import sqlite3

from doorctl.errors import InputError
from doorctl.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.audit_chain import erased_numbers
from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_erasure import PartErased
from doorctl.privacy.subject_table import BRANCH
from doorctl.store import subject_rows, subject_tombstones
from doorctl.store.audit import AuditTrail
from doorctl.store.branch_rules import known
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import translated
from doorctl.store.visit_purge import compact
from doorctl.store.visit_rows import to_ms

_RESTRICT = "INSERT INTO restrictions (row_key, patron_ref, since_ms, by) VALUES (?, ?, ?, ?)"
_END_RESTRICTION = "DELETE FROM restrictions WHERE number = ?"


def erase_rights(
    writer: BranchRecordsWriter,
    subject: Subject,
    epoch: int,
    by: str,
    moment: Moment,
    *,
    why: str = "",
) -> PartErased:
    """Erase a person's bans, passes, restrictions and audit records; a tombstone takes their place.

    The audit log says that somebody was erased, by whom, why and which entries, and not who.

    Raises:
        InputError: the reason has no place on record; nothing was changed.
    """
    audit = AuditTrail(writer)
    with writer.together(moment) as connection:
        deleted = subject_rows.delete(connection, BRANCH, subject)
        erased = audit.erase_about(subject.row_keys, subject.patron_ref, moment)
        deleted += len(erased)
        subject_tombstones.set_up(connection, subject, epoch, known(moment))
        deed = Deed(
            Action.SUBJECT_ERASED, why=why, details={"rows": deleted, **erased_numbers(erased)}
        )
        audit.append(deed, by, moment)
    return PartErased(deleted, _compacted(writer))


def restrict(
    writer: BranchRecordsWriter, subject: Subject, by: str, moment: Moment, why: str = ""
) -> None:
    """Keep a person's data and use them for nothing, by card and by number.

    Raises:
        InputError: it is nobody, the person's data are restricted already, or the reason has no
            place on record; nothing was changed.
    """
    if not subject.row_keys and subject.patron_ref is None:
        raise InputError("name a card or a patron whose data are to be restricted")
    since_ms = to_ms(known(moment))
    with writer.together(moment) as connection:
        if _restrictions(connection, subject):
            raise InputError("the person's data are restricted already")
        rows = [(key, subject.patron_ref, since_ms, by) for key in sorted(subject.row_keys)]
        connection.executemany(_RESTRICT, rows or [(None, subject.patron_ref, since_ms, by)])
        deed = _about(Action.SUBJECT_RESTRICTED, subject, why)
        AuditTrail(writer).append(deed, by, moment)


def unrestrict(
    writer: BranchRecordsWriter, subject: Subject, by: str, moment: Moment, why: str = ""
) -> None:
    """Use a person's data again.

    Raises:
        InputError: they are not restricted here, or as :func:`restrict`.
    """
    with writer.together(moment) as connection:
        numbers = _restrictions(connection, subject)
        if not numbers:
            raise InputError(
                "the person's data are not restricted here; if the door says so all the same, "
                "the library system does"
            )
        connection.executemany(_END_RESTRICTION, ((number,) for number in numbers))
        writer.rewrite_after()
        deed = _about(Action.SUBJECT_UNRESTRICTED, subject, why)
        AuditTrail(writer).append(deed, by, moment)


def _about(action: Action, subject: Subject, why: str) -> Deed:
    return Deed(action, tuple(sorted(subject.row_keys)), subject.patron_ref, why)


def _restrictions(connection: sqlite3.Connection, subject: Subject) -> list[int]:
    return [
        row.values[row.table.names.index("number")]
        for row in subject_rows.select(connection, BRANCH, subject)
        if row.table.name == "restrictions"
    ]


def _compacted(writer: BranchRecordsWriter) -> tuple[int, int, int]:
    with translated(writer.path):
        return compact(writer.database)
