"""How a table and its columns are declared, with their names for the person a row is about.

`doorctl.store.tables` declares them; by the declaration a person's rows are exported and erased.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PATRONS, BRANCH, VISITS = "patrons.db", "branch.db", "visits.db"
"""The databases, by the names of their files."""

CARD, PATRON = "row_key", "patron_ref"
"""The columns that say whose a row is: the sealed card, and the library system's number."""


class Shown(Enum):
    """How a value is read."""

    AS_IS = "as it is"
    FLAG = "yes or no"
    TIME = "milliseconds since 1970"
    WEEKDAYS = "a digit for each day, 0 is Monday"
    MINUTE = "minutes after midnight"
    SPANS = "spans of such minutes, apart by a blank"
    OF_STAFF = "names a member of staff: kept from the person, erased with the row"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type and constraints, and its Danish and English name.

    These are empty in a table about nobody. The door decides by columns that are kept `twice`.
    """

    name: str
    sql: str
    danish: str = ""
    english: str = ""
    shown: Shown = Shown.AS_IS
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a database.

    Attributes:
        danish, english: the table's name for a person; its rows are exported and erased.
        apart: why it has no such name instead.
        key: the columns of the primary key where it has several.
        rule: a constraint on several columns.
        beside: statements that make its indexes and triggers.
        dated: the column of milliseconds by which its rows grow older than the retention: older
            rows are shown to nobody, and so not exported either.
        held: whether a hold keeps its rows for longer: staff can read what one in force keeps, and
            so it is exported too.
        given_with: a column that the writer of many rows sets. That writer also writes the second
            copy itself, because to read each row again takes a third more time.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    danish: str = ""
    english: str = ""
    apart: str = ""
    key: tuple[str, ...] = ()
    rule: str = ""
    beside: tuple[str, ...] = ()
    dated: str | None = None
    held: bool = False
    given_with: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def twice(self) -> tuple[str, ...]:
        """The names of the columns that are kept twice."""
        return tuple(column.name for column in self.columns if column.twice)

    def but(self, *without: str) -> str:
        """Return the names of all columns but some and the second copy, as in a SELECT."""
        return ", ".join(name for name in self.names if name not in {*without, "twice"})
