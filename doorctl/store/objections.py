"""Restrictions and objections: a person's data are kept and not used.

An objection (article 21) restricts the data until it is decided (article 18(1)(d)). Names of tables
and columns are all that the SQL is made of; values are always bound.
"""

from __future__ import annotations

import sqlite3

from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.privacy.subject import Decision, Subject
from doorctl.store.branch import known
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.subject import belongs
from doorctl.store.tables import (
    OBJECTIONS,
    RESTRICTIONS,
    to_ms,
)

_RESTRICT = "INSERT INTO restrictions (row_key, patron_ref, since_ms, by) VALUES (?, ?, ?, ?)"


def restrict(writer: BranchRecordsWriter, subject: Subject, by: str, moment: Moment) -> None:
    """Restrict a person's data, by card and number: they are kept and not used.

    Raises InputError: no card or number is named, or the data are restricted already.
    """
    if not subject.row_keys and subject.patron_ref is None:
        raise InputError("name a card or a patron whose data are to be restricted")
    since_ms = to_ms(known(moment))
    where, values = belongs(RESTRICTIONS, subject)
    with writer.together(moment) as connection:
        if connection.execute(f"SELECT 1 FROM restrictions WHERE {where}", values).fetchone():  # noqa: S608 -- as said
            raise InputError("the person's data are restricted already")
        rows = [(key, subject.patron_ref, since_ms, by) for key in sorted(subject.row_keys)]
        connection.executemany(_RESTRICT, rows or [(None, subject.patron_ref, since_ms, by)])


def unrestrict(writer: BranchRecordsWriter, subject: Subject, moment: Moment) -> None:
    """End the restriction of a person's data, and with it an objection that was upheld.

    Raises InputError: there is none, or it stands for an objection that is not decided.
    """
    where, values = belongs(RESTRICTIONS, subject)
    with writer.together(moment) as connection:
        if _is_undecided(connection, subject):
            raise InputError("the person's objection is not decided; its decision ends it")
        own, whose = belongs(OBJECTIONS, subject)
        connection.execute(f"DELETE FROM objections WHERE decision = 'upheld' AND ({own})", whose)  # noqa: S608 -- as said
        if not connection.execute(f"DELETE FROM restrictions WHERE {where}", values).rowcount:  # noqa: S608 -- as said
            raise InputError(
                "the person's data are not restricted here; if the door says so all the same, "
                "the library system does"
            )
        writer.rewrite_after()


_OBJECT = """
    INSERT INTO objections
    (row_key, patron_ref, made_ms, reference, decision, reason, decided_ms, restricts, by)
    VALUES (?, ?, ?, ?, 'pending', '', NULL, ?, ?)
"""

_DECIDE = "UPDATE objections SET decision = ?, reason = ?, decided_ms = ? WHERE "


def object_to(
    writer: BranchRecordsWriter, subject: Subject, reference: str, by: str, moment: Moment
) -> None:
    """Put a person's objection on record, and restrict the data unless they are already.

    Raises InputError: no card or number is named, or one is on record that is not decided.
    """
    at_ms = to_ms(known(moment))
    with writer.together(moment) as connection:
        if _is_undecided(connection, subject):
            raise InputError("the person's objection is on record already; decide it")
        where, values = belongs(RESTRICTIONS, subject)
        stands = connection.execute(f"SELECT 1 FROM restrictions WHERE {where}", values).fetchone()  # noqa: S608 -- as said
        if stands is None:
            restrict(writer, subject, by, moment)
        # A number names all cards; without it each reading of the card is one.
        ref, more = subject.patron_ref, (at_ms, reference, stands is None, by)
        keys = sorted(subject.row_keys) if ref is None else [None]
        connection.executemany(_OBJECT, [(key, ref, *more) for key in keys])


def decide(
    writer: BranchRecordsWriter, subject: Subject, decision: Decision, reason: str, moment: Moment
) -> None:
    """Decide a person's objection. Where it is rejected, the restriction ends that it brought.

    Raises InputError: none is on record that is not decided.
    """
    where, values = belongs(OBJECTIONS, subject)
    pending = f"decision = 'pending' AND ({where})"
    with writer.together(moment) as connection:
        found = connection.execute(f"SELECT restricts FROM objections WHERE {pending}", values)  # noqa: S608 -- as said
        brought = found.fetchall()
        if not brought:
            raise InputError("there is no objection of the person's that could be decided")
        decided = (decision.value, reason, to_ms(known(moment)))
        connection.execute(f"{_DECIDE}{pending}", (*decided, *values))
        if decision is Decision.REJECTED and any(restricts for (restricts,) in brought):
            unrestrict(writer, subject, moment)


def _is_undecided(connection: sqlite3.Connection, subject: Subject) -> bool:
    where, values = belongs(OBJECTIONS, subject)
    sql = f"SELECT 1 FROM objections WHERE decision = 'pending' AND ({where})"  # noqa: S608 -- as said
    return connection.execute(sql, values).fetchone() is not None
