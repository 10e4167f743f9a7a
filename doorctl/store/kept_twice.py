"""Rows that decide keep their values a second time, so that a wrong bit inside a value is found.

SQLite has no checksums of its own (its checksum VFS is not in Python), and a flipped bit in a flag
or a date gives another valid value. So each such row holds its deciding values once more, as text
that SQL's own functions make: no program needs anything of ours to write or to check it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

TWICE = "twice"
QUOTED = ("row_key", "pin_check", "patron_ref", "applied_at")
"""Columns of bytes, and those of text that a wrong bit may not make the same bytes of."""


def said(columns: str, called: Callable[[str], str] = str) -> str:
    """Return the SQL expression for a row's second copy of these columns, named as in a SELECT.

    `called` turns a column's name into the name to use in the expression.
    """
    # One wrong bit moves nothing from one value to the next, so nothing has to part them. The full
    # stop keeps the last digits from what SQLite writes behind the row.
    each = (
        f"quote({called(name)})" if name in QUOTED else f"coalesce({called(name)}, '-')"
        for name in columns.split(", ")
    )
    return " || ".join([*each, "'.'"])


def whole(table: str, columns: str) -> str:
    """Return a condition that fails if a bit is wrong in one of the columns or in their copy."""
    return f"({table}.{TWICE} IS {said(columns, f'{table}.{{}}'.format)})"


def keep(
    database: sqlite3.Connection, table: str, key: str, columns: str, given_with: str = ""
) -> None:
    """Have SQLite keep the second copy of `columns` in a new table, in its column :data:`TWICE`.

    `key` are the columns that name a row.

    Args:
        given_with: a column that the writer of many rows changes, who then gives the copy himself,
            with new rows too: to look at each row again takes a third more time.
    """
    # Names of ours are all that these are made of.
    again = said(columns, "new.{}".format)
    found = " AND ".join(f"{name} = new.{name}" for name in key.split(", "))
    when = f"new.{TWICE} IS NOT {again}"
    events = {"changed": f"UPDATE OF {columns}", "put": "INSERT"}
    if given_with:
        when = f"new.{given_with} IS old.{given_with} AND {when}"
        del events["put"]
    for name, event in events.items():
        database.execute(f"""
            CREATE TRIGGER {table}_{name} AFTER {event} ON {table} WHEN {when}
            BEGIN UPDATE {table} SET {TWICE} = {again} WHERE {found}; END
        """)  # noqa: S608 -- as said
