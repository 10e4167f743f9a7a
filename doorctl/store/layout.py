"""How a release lays a database out: its steps, and which of them a file has had."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

from doorctl.core.errors import StoreError
from doorctl.store.tables import create_tables, of_database

Step = Callable[[sqlite3.Connection], None]
_DONE = "SELECT migration_set, name FROM _sqlite_migrations"
_LIST = (
    """
    CREATE TABLE _sqlite_migrations
    (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)
    """,
    """
    CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
    ON _sqlite_migrations (migration_set, name)
    """,
)
"""As sqlite-utils makes it."""
_LISTED = """
    INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
    VALUES (?, ?, datetime('now') || '+00:00')
"""


def releases(database: str, *numbers: tuple[int, int]) -> dict[str, Step]:
    """Return a step for each release that brought tables or columns of a database."""
    tables = of_database(database)
    return {
        f"release_{major}_{minor}": partial(create_tables, tables=tables, release=(major, minor))
        for major, minor in numbers
    }


class Layout:
    """How a database is laid out: one step for each release of doorctl that changed it.

    A file lists the steps that it has had, and bears their number. `name` is the database's,
    without ``.db``; `steps` are by the names under which a file lists them. SQLite's own errors
    pass through.
    """

    def __init__(self, name: str, steps: dict[str, Step]) -> None:
        self.name = name
        self.steps = steps

    def done(self, database: sqlite3.Connection) -> frozenset[str]:
        """Return the steps that a file lists; none where it has no list of doorctl's."""
        return frozenset(name for whose, name in _listed(database) if whose == self.name)

    def fits(self, database: sqlite3.Connection) -> bool:
        """Tell whether a file has this program's number and count of steps; names don't matter."""
        (number,) = database.execute("PRAGMA user_version").fetchone()
        return bool(number == newest(self) == len(_listed(database)))

    def pending(self, database: sqlite3.Connection) -> tuple[str, ...]:
        """Return the steps that a file does not list."""
        done = self.done(database)
        return tuple(name for name in self.steps if name not in done)

    def apply(self, database: sqlite3.Connection) -> None:
        """Do the pending steps and number the file, in one transaction."""
        # The library is loaded only here: that takes 0.17 s.
        from sqlite_utils import Database, Migrations  # noqa: PLC0415 - as said

        migrations = Migrations(self.name)
        for name, step in self.steps.items():
            migrations(name=name)(lambda wrapped, step=step: step(wrapped.conn))
        # Plugins are whatever else is installed on the machine; none of them belongs at a door.
        wrapped = Database(database, recursive_triggers=False, execute_plugins=False)
        with wrapped.atomic():
            migrations.apply(wrapped)
            self._number(database)

    def begin(self, database: sqlite3.Connection) -> None:
        """Do all steps in an empty file, without the library: a patron may be waiting."""
        for statement in _LIST:
            database.execute(statement)
        for name, step in self.steps.items():
            step(database)
            database.execute(_LISTED, (self.name, name))
        self._number(database)

    def _number(self, database: sqlite3.Connection) -> None:
        database.execute(f"PRAGMA user_version = {newest(self)}")


def _listed(database: sqlite3.Connection) -> list[tuple[str, str]]:
    try:
        return database.execute(_DONE).fetchall()
    except sqlite3.OperationalError as error:
        # SQLITE_ERROR alone would be every trouble that has no code of its own.
        if not str(error).startswith(("no such table: ", "no such column: ")):
            raise
        return []


def newest(layout: Layout) -> int:
    """Return the number of this program's layout, which is how many steps it has."""
    return len(layout.steps)


def is_newer(database: sqlite3.Connection, layout: Layout) -> bool:
    """Tell whether a newer doorctl laid the file out, by its number and list: not by one bit."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    done = layout.done(database)
    return number > newest(layout) and len(done) == number and done.issuperset(layout.steps)


def refuse_others(database: sqlite3.Connection, layout: Layout) -> None:
    """Raise StoreError for another's file: by a newer one's a ban could be overlooked."""
    if layout.fits(database):
        return
    if is_newer(database, layout):
        raise StoreError(
            f"{layout.name}.db was laid out by a newer doorctl than this one, which would not "
            "heed all that stands there; install the newer one again, or restore the file from "
            "before the upgrade"
        )
    pending = layout.pending(database)
    if len(pending) == newest(layout):
        raise StoreError(
            f"{layout.name}.db can't be used: it does not hold doorctl's tables, or was laid out "
            "before doorctl was first released; restore its backup, or move it and doorctl's other "
            "databases here away, and make new ones by `doorctl init` and a full push"
        )
    if pending:
        raise StoreError(
            f"{layout.name}.db is of an older doorctl; start the process that writes it"
        )


def lay_out(database: sqlite3.Connection, layout: Layout) -> None:
    """Bring a file that may be empty to this layout in one transaction; StoreError for others."""
    if layout.fits(database):
        return
    done = layout.done(database)
    if is_newer(database, layout) or (done and done.isdisjoint(layout.steps)):
        refuse_others(database, layout)
    layout.apply(database)
