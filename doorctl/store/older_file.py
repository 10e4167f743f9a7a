"""Reading a file that another doorctl laid out: an older one, before its writer has migrated it.

After an upgrade a reader can start before the writer, or where no writer runs: what the file does
not hold yet, nobody has written either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from doorctl.errors import StoreError

Step = Callable[[sqlite3.Connection], None]
_DONE = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"


class Layout:
    """The steps that lay a database out, in their order; ``@layout()`` adds a function as one.

    The library that does them is imported where one is to be done: it takes 0.17 s of a command.

    Args:
        name: the database's, without ``.db``.

    Attributes:
        steps: by the name under which a file keeps that it was done.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: dict[str, Step] = {}

    def __call__(self) -> Callable[[Step], Step]:
        """Return what adds a step and leaves its function as it is."""

        def added(step: Step) -> Step:
            self.steps[step.__name__] = step
            return step

        return added

    def done(self, database: sqlite3.Connection) -> frozenset[str]:
        """Return the steps that a file says were done to it; none where it has no list of ours.

        Raises:
            sqlite3.Error: SQLite's own trouble.
        """
        try:
            return frozenset(name for (name,) in database.execute(_DONE, (self.name,)))
        except sqlite3.OperationalError as error:
            if not _names_unknown(error):
                raise
            return frozenset()

    def pending(self, database: sqlite3.Connection) -> tuple[str, ...]:
        """Return the steps that a file does not say were done to it.

        Raises:
            sqlite3.Error: SQLite's own trouble.
        """
        done = self.done(database)
        return tuple(name for name in self.steps if name not in done)

    def apply(self, database: sqlite3.Connection, *, stop_before: str | None = None) -> None:
        """Do the steps that are pending and number the file, in one transaction.

        Args:
            database: the file.
            stop_before: a step; for a file as an older doorctl has left it, which has no number.

        Raises:
            sqlite3.Error: SQLite's own trouble.
        """
        from sqlite_utils import Database, Migrations  # noqa: PLC0415 - see above

        migrations = Migrations(self.name)
        for name, step in self.steps.items():
            migrations(name=name)(lambda wrapped, step=step: step(wrapped.conn))
        # Plugins are whatever else is installed on the machine; none of them belongs at a door.
        wrapped = Database(database, recursive_triggers=False, execute_plugins=False)
        with wrapped.atomic():
            migrations.apply(wrapped, stop_before=stop_before)
            if stop_before is None:
                database.execute(f"PRAGMA user_version = {newest(self)}")


def execute_fitting(
    database: sqlite3.Connection, statements: Sequence[str], parameters: Sequence[object] = ()
) -> sqlite3.Cursor:
    """Run the first statement whose tables and columns the file has.

    Where the newest fits, which is nearly always, the others cost nothing. It is tried each time,
    so the first call after the migration uses it.

    Args:
        database: the file.
        statements: the newest first; the last needs only what doorctl's first layout had.
        parameters: for whichever is run.

    Raises:
        sqlite3.Error: none fits, so the file is not doorctl's; or SQLite's own trouble.
    """
    for statement in statements[:-1]:
        try:
            return database.execute(statement, parameters)
        except sqlite3.OperationalError as error:
            if not _names_unknown(error):
                raise
    return database.execute(statements[-1], parameters)


def is_newer(database: sqlite3.Connection, migrations: Layout) -> bool:
    """Tell whether a newer doorctl laid the file out.

    Its number alone could be one wrong bit; the list of what was done to the file says it too.

    Raises:
        sqlite3.Error: SQLite's own trouble.
    """
    layout: int = database.execute("PRAGMA user_version").fetchone()[0]
    if layout <= newest(migrations):
        return False
    return len(migrations.done(database)) == layout


def lay_out(database: sqlite3.Connection, migrations: Layout) -> None:
    """Bring a file to this program's layout and number it, in one transaction.

    Raises:
        StoreError: a newer doorctl laid it out; nothing was changed.
        sqlite3.Error: SQLite's own trouble.
    """
    refuse_newer(database, migrations)
    layout = database.execute("PRAGMA user_version").fetchone()[0]
    if layout != newest(migrations) or migrations.pending(database):
        migrations.apply(database)


def refuse_newer(database: sqlite3.Connection, migrations: Layout) -> None:
    """Refuse a file of which this program would forget what it does not know: a ban, perhaps.

    Raises:
        StoreError: a newer doorctl laid it out.
        sqlite3.Error: SQLite's own trouble.
    """
    if is_newer(database, migrations):
        raise StoreError(
            f"{migrations.name}.db was laid out by a newer doorctl than this one, which would not "
            "heed all that stands there; install the newer one again, or restore the file from "
            "before the upgrade"
        )


def refuse_others(database: sqlite3.Connection, migrations: Layout) -> None:
    """Refuse a newer file as :func:`refuse_newer` does, and one that no doorctl has laid out.

    Raises:
        StoreError: it is newer, foreign, or not made yet.
        sqlite3.Error: SQLite's own trouble.
    """
    refuse_newer(database, migrations)
    if not set(migrations.steps) & migrations.done(database):
        raise StoreError(f"{migrations.name}.db can't be used: it does not hold doorctl's tables")


def newest(migrations: Layout) -> int:
    """Return the number of the layout that this program makes: of how many steps it consists."""
    return len(migrations.steps)


def _names_unknown(error: sqlite3.OperationalError) -> bool:
    # SQLITE_ERROR alone would be every trouble that has no code of its own.
    return str(error).startswith(("no such table: ", "no such column: "))
