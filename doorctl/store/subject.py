"""Read, erase and restrict one person's rows in each database; ``branch.db`` records that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.audit_chain import erased_numbers
from doorctl.privacy.erasure import HeldVisit, PartErased
from doorctl.privacy.export import HeldRow
from doorctl.privacy.subject import Decision, Subject
from doorctl.privacy.tables import BRANCH, CARD, PATRON, PATRONS, VISITS, Table
from doorctl.privacy.tombstones import KEPT, Tombstone, Tombstones
from doorctl.store.branch import BranchReader, known, never_made
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import WatchedReader, Writer, translated
from doorctl.store.door_log import HELD, TAKE_BACK_WRONG_PIN
from doorctl.store.records import AuditTrail
from doorctl.store.tables import (
    OBJECTIONS,
    RESTRICTIONS,
    WRONG_PINS,
    from_ms,
    person_tables,
    select,
    to_ms,
)

if TYPE_CHECKING:
    # Web does without.
    from doorctl.store.visits import VisitStore

# Names of tables and columns are all that these are made of; values are always bound.


def delete(connection: sqlite3.Connection, database: str, subject: Subject) -> int:
    """Delete all rows of a person in one database, in the caller's transaction; return how many."""
    deleted = 0
    # What depends on a row comes before it, so that it is counted and not taken along.
    for table in reversed(person_tables(database)):
        where, values = belongs(table, subject)
        deleted += connection.execute(f"DELETE FROM {table.name} WHERE {where}", values).rowcount  # noqa: S608 -- as said
    return deleted


def belongs(table: Table, subject: Subject) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL condition for a person's rows, and its values.

    A row that names a patron is that patron's, even if another one has the card by now.
    """
    marks = ", ".join("?" * len(subject.row_keys))
    if CARD not in table.names:
        return f"{PATRON} = ?", (subject.patron_ref,)
    by_card = f"{CARD} IN ({marks})"
    keys = tuple(sorted(subject.row_keys))
    if PATRON not in table.names:
        return by_card, keys
    return f"{PATRON} = ? OR ({PATRON} IS NULL AND {by_card})", (subject.patron_ref, *keys)


_STONES = "SELECT mark, erasure, epoch, erased_ms, until_ms FROM tombstones ORDER BY mark"
_SET = """
    INSERT INTO tombstones (mark, erasure, epoch, erased_ms, until_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET erasure = excluded.erasure, epoch = max(epoch, excluded.epoch),
    erased_ms = excluded.erased_ms, until_ms = excluded.until_ms
"""
_NEXT = "SELECT coalesce(max(erasure), 0) + 1 FROM tombstones"


class StoredErasures(BranchReader):
    """Read ``branch.db``'s tombstones; StoreError: it is not known who was erased."""

    def tombstones(self) -> Tombstones:
        """Return all tombstones, as of one commit."""
        if never_made(self.path):
            return Tombstones()
        with self._guard, translated(self.path):
            return read(self.reader.current())


def read(connection: sqlite3.Connection) -> Tombstones:
    """Return all tombstones."""
    (salt,) = connection.execute("SELECT salt FROM tombstone_salt").fetchone()
    stones = {
        mark: Tombstone(mark, erasure, epoch, from_ms(erased_ms), from_ms(until_ms))
        for mark, erasure, epoch, erased_ms, until_ms in connection.execute(_STONES)
    }
    return Tombstones(salt, stones)


def set_up(connection: sqlite3.Connection, subject: Subject, epoch: int, at: datetime) -> None:
    """Set a person's tombstones or renew them, in the caller's transaction; none expires here."""
    tombstones = read(connection)
    standing = tombstones.of(subject)
    erasure = standing[0].erasure if standing else connection.execute(_NEXT).fetchone()[0]
    marks = tombstones.marks(subject) | {stone.mark for stone in standing}
    epoch = max([epoch, *(stone.epoch for stone in standing)])
    times = (to_ms(at), to_ms(at + KEPT))
    connection.executemany(_SET, ((mark, erasure, epoch, *times) for mark in sorted(marks)))


_RESTRICT = "INSERT INTO restrictions (row_key, patron_ref, since_ms, by) VALUES (?, ?, ?, ?)"


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


# An objection (article 21) restricts the data until it is decided (article 18(1)(d)).

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
        told = (decision.value, reason, to_ms(known(moment)))
        connection.execute(f"{_DECIDE}{pending}", (*told, *values))
        if decision is Decision.REJECTED and any(restricts for (restricts,) in brought):
            unrestrict(writer, subject, moment)


def _is_undecided(connection: sqlite3.Connection, subject: Subject) -> bool:
    where, values = belongs(OBJECTIONS, subject)
    sql = f"SELECT 1 FROM objections WHERE decision = 'pending' AND ({where})"  # noqa: S608 -- as said
    return connection.execute(sql, values).fetchone() is not None


# The register and the door log: the connection that writes them erases a person there.

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
_RECOUNT = "UPDATE cache SET patrons = (SELECT count(*) FROM patrons)"


def erase_patron(register: Writer, subject: Subject) -> PartErased:
    """Erase a person from the register; it still holds the same push."""
    with register.transaction() as connection:
        deleted = delete(connection, PATRONS, subject)
        connection.execute(_RECOUNT)
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
        connection.execute(_RECOUNT)
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


_CURE = "restore it, or start doorctl, which makes a new one"

_IN_FORCE = """
    SELECT since_ms, to_ms FROM holds
    WHERE until_ms > (SELECT coalesce(max(high_water_ms), 0) FROM clock)
"""


class SubjectReader(BranchReader):
    """Read one database for a person's rights, from any process.

    A missing register or door log has no rows. A ``branch.db`` that was there and is gone is an
    error, as it is for the door. The file must bear its database's name.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, WatchedReader(path, _CURE))

    def owners(self, row_keys: frozenset[bytes]) -> frozenset[str]:
        """Return the patrons' numbers in rows with one of these cards."""
        marks = ", ".join("?" * len(row_keys))
        return self._found(PATRON, f"{CARD} IN ({marks})", row_keys)

    def cards(self, patron_ref: str) -> frozenset[bytes]:
        """Return the row keys in rows with a patron's number."""
        return self._found(CARD, f"{PATRON} = ?", (patron_ref,))

    def every_card(self) -> frozenset[bytes]:
        """Return all row keys; only for a database of thousands, so not for a register."""
        return self._found(CARD)

    def rows(self, subject: Subject, not_before: datetime) -> tuple[HeldRow, ...]:
        """Return all rows of a person, table by table.

        A dated row from before a UTC time is left out, unless a hold keeps it that is in force by
        the highest trusted time on record.
        """
        since_ms, name = to_ms(not_before), self.path.name
        windows = self._records(_IN_FORCE) if name == VISITS else []
        held = []
        for table in person_tables(name):
            where, values = belongs(table, subject)
            columns = ", ".join(f'"{column}"' for column in table.names)
            records = self._records(select(columns, f"{table.name} WHERE {where}"), values)
            held += [HeldRow(table, record) for record in records]
        return tuple(row for row in held if _is_shown(row, since_ms, windows))

    def epoch(self) -> int:
        """Return the number of the push that ``patrons.db`` holds; 0 for none."""
        records = self._records("SELECT epoch FROM cache")
        return records[0][0] if records else 0

    def _records(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        if self.path.name != BRANCH and not self.path.exists():
            return []
        return super()._records(sql, parameters)

    def _found(self, column: str, where: str = "", values: Iterable[object] = ()) -> frozenset[Any]:
        wanted = {CARD, PATRON} if where else {column}
        condition = " AND ".join(filter(None, (where, f"{column} IS NOT NULL")))
        return frozenset(
            value
            for table in person_tables(self.path.name)
            if wanted <= set(table.names)
            for (value,) in self._records(
                select(f"DISTINCT {column}", f"{table.name} WHERE {condition}"), tuple(values)
            )
        )


def _is_shown(row: HeldRow, since_ms: int, windows: Iterable[tuple[int, int]]) -> bool:
    if row.table.dated is None:
        return True
    at_ms = row.by_column[row.table.dated]
    held = row.table.held and any(first <= at_ms < end for first, end in windows)
    return held or at_ms >= since_ms


# Whose a card is, and which other cards are.


def find(typed: Sequence[bytes], register: SubjectReader, branch: SubjectReader) -> Subject:
    """Return the owner of a card, with all of the person's cards.

    The register says who owns a card; if it does not know it, a ban or a restriction does.

    `typed` holds the row key of each reading of the typed text, as a card and as a CPR number.

    Raises InputError: two patrons own it. StoreError: a database can't be read.
    """
    for book in (register, branch):
        owners = {key: book.owners(frozenset({key})) for key in typed}
        refs = frozenset().union(*owners.values())
        if len(refs) > 1:
            raise InputError(
                "that is more than one patron's; say --as card or --as cpr, or give --patron-ref"
            )
        for patron_ref in refs:
            # The other reading of the same digits may be somebody else's card.
            own = frozenset(key for key, whose in owners.items() if whose)
            return with_cards(Subject(own, patron_ref), register, branch)
    return Subject(frozenset(typed))


def with_cards(subject: Subject, register: SubjectReader, branch: SubjectReader) -> Subject:
    """Return a person with all cards that have the same number, in either database.

    A banned card that now belongs to somebody else is left out.
    """
    ref = subject.patron_ref
    if ref is None:
        return subject
    banned = {key for key in branch.cards(ref) if not register.owners(frozenset({key})) - {ref}}
    return Subject(subject.row_keys | register.cards(ref) | banned, ref)


def with_erased(
    subject: Subject, tombstones: Tombstones, databases: Iterable[SubjectReader]
) -> Subject:
    """Return a person with the cards that an earlier erasure knew and could not erase everywhere.

    `databases` are those in which data may be left.
    """
    erasures = {stone.erasure for stone in tombstones.of(subject)}
    if not erasures:
        return subject
    left = frozenset().union(*(database.every_card() for database in databases))
    own = {key for key in left if (stone := tombstones.of_card(key)) and stone.erasure in erasures}
    return Subject(subject.row_keys | own, subject.patron_ref)
