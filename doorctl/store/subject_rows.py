"""One person's rows of any database, read and deleted by the table of `subject_table`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from doorctl.privacy.subject import HeldRow, Subject
from doorctl.privacy.subject_table import CARD, PATRON, PersonTable, person_tables

# Names of tables and columns are all that these are made of; values are always bound.
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def select(connection: sqlite3.Connection, database: str, subject: Subject) -> list[HeldRow]:
    """Return all rows of a person in one database, table by table."""
    found = []
    for table in laid_out(connection, database):
        where, values = belongs(table, subject)
        columns = ", ".join(f'"{name}"' for name in table.names)
        rows = connection.execute(f"SELECT {columns} FROM {table.name} WHERE {where}", values)  # noqa: S608 -- as said
        found += [HeldRow(table, tuple(row)) for row in rows]
    return found


def delete(connection: sqlite3.Connection, database: str, subject: Subject) -> int:
    """Delete all rows of a person in one database, in the caller's transaction; return how many."""
    deleted = 0
    # What depends on a row comes before it, so that it is counted and not taken along.
    for table in reversed(tuple(laid_out(connection, database))):
        where, values = belongs(table, subject)
        deleted += connection.execute(f"DELETE FROM {table.name} WHERE {where}", values).rowcount  # noqa: S608 -- as said
    return deleted


def laid_out(connection: sqlite3.Connection, database: str) -> Iterator[PersonTable]:
    """Yield the tables about people that a file has; after an update some may be still to come."""
    there = {name for (name,) in connection.execute(_TABLES)}
    return (table for table in person_tables(database) if table.name in there)


def belongs(table: PersonTable, subject: Subject) -> tuple[str, tuple[Any, ...]]:
    """Return the condition under which a row is a person's, and its values.

    A row that names a patron is that patron's, whoever has the card by now.
    """
    marks = ", ".join("?" * len(subject.row_keys))
    if CARD not in table.names:
        return f"{PATRON} = ?", (subject.patron_ref,)
    by_card = f"{CARD} IN ({marks})"
    keys = tuple(sorted(subject.row_keys))
    if PATRON not in table.names:
        return by_card, keys
    return f"{PATRON} = ? OR ({PATRON} IS NULL AND {by_card})", (subject.patron_ref, *keys)


def cards(connection: sqlite3.Connection, database: str, patron_ref: str) -> frozenset[bytes]:
    """Return the row keys that stand beside a patron's number."""
    found = (
        connection.execute(
            f"SELECT {CARD} FROM {table.name} WHERE {PATRON} = ? AND {CARD} IS NOT NULL",  # noqa: S608 -- as said
            (patron_ref,),
        )
        for table in laid_out(connection, database)
        if {CARD, PATRON} <= set(table.names)
    )
    return frozenset(key for rows in found for (key,) in rows)


def owners(
    connection: sqlite3.Connection, database: str, row_keys: frozenset[bytes]
) -> frozenset[str]:
    """Return every patron's number that stands beside one of some cards."""
    marks = ", ".join("?" * len(row_keys))
    found = (
        connection.execute(
            f"SELECT {PATRON} FROM {table.name} WHERE {CARD} IN ({marks}) AND {PATRON} IS NOT NULL",  # noqa: S608 -- as said
            tuple(row_keys),
        )
        for table in laid_out(connection, database)
        if {CARD, PATRON} <= set(table.names)
    )
    return frozenset(ref for rows in found for (ref,) in rows)


def every_card(connection: sqlite3.Connection, database: str) -> frozenset[bytes]:
    """Return all row keys of one database."""
    found = (
        connection.execute(f"SELECT DISTINCT {CARD} FROM {table.name} WHERE {CARD} IS NOT NULL")  # noqa: S608 -- as said
        for table in laid_out(connection, database)
        if CARD in table.names
    )
    return frozenset(key for rows in found for (key,) in rows)
