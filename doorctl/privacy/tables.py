"""How databases are described: tables, columns, and what each is called in a person's export."""

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

    These are empty in a table about no person. The door decides by columns that are kept `twice`.
    `since` is the release of doorctl that brought it.
    """

    name: str
    sql: str
    danish: str = ""
    english: str = ""
    shown: Shown = Shown.AS_IS
    twice: bool = False
    since: tuple[int, int] = (0, 2)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a database.

    With a `danish` and an `english` name its rows are exported and erased; else `apart` says why
    not. `key` has the columns of a primary key of several, `rule` a constraint on several, `beside`
    the statements that make indexes and triggers, `later` those of a later release, beside its
    number. By `dated`, a column of milliseconds, rows grow older than the retention and are no
    longer shown, unless a hold keeps them (`held`). The writer of many rows sets the column
    `given_with`, and the second copy itself: to read each row again takes a third more time.
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
    later: tuple[tuple[tuple[int, int], str], ...] = ()
    dated: str | None = None
    held: bool = False
    given_with: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return a column by its name; KeyError where there is none."""
        return {column.name: column for column in self.columns}[name]

    @property
    def twice(self) -> tuple[str, ...]:
        """The names of the columns that are kept twice."""
        return tuple(column.name for column in self.columns if column.twice)

    def but(self, *without: str) -> str:
        """Return the names of all columns but some and the second copy, as in a SELECT."""
        return ", ".join(name for name in self.names if name not in {*without, "twice"})
