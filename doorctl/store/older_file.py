"""Reading a file that another doorctl laid out: an older one, before its writer has migrated it.

After an upgrade a reader can start before the writer, or where no writer runs: what the file does
not hold yet, nobody has written either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache

from sqlite_utils import Database, Migrations

from doorctl.errors import StoreError


def execute_fitting(
    database: Database, statements: Sequence[str], parameters: Sequence[object] = ()
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


def is_newer(database: Database, migrations: Migrations) -> bool:
    """Tell whether a newer doorctl laid the file out.

    Its number alone could be one wrong bit; the list of what was done to the file says it too.

    Raises:
        sqlite3.Error: SQLite's own trouble.
    """
    layout: int = database.execute("PRAGMA user_version").fetchone()[0]
    if layout <= newest(migrations):
        return False
    done = "SELECT count(*) FROM _sqlite_migrations WHERE migration_set = ?"
    return bool(database.execute(done, (migrations.name,)).fetchone()[0] == layout)


def lay_out(database: Database, migrations: Migrations) -> None:
    """Bring a file to this program's layout and number it, in one transaction.

    Raises:
        StoreError: a newer doorctl laid it out; nothing was changed.
        sqlite3.Error: SQLite's own trouble.
    """
    refuse_newer(database, migrations)
    layout = database.execute("PRAGMA user_version").fetchone()[0]
    if layout == newest(migrations) and not migrations.pending(database):
        return
    with database.atomic():
        migrations.apply(database)
        database.execute(f"PRAGMA user_version = {newest(migrations)}")


def refuse_newer(database: Database, migrations: Migrations) -> None:
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


def refuse_others(database: Database, migrations: Migrations) -> None:
    """Refuse a newer file as :func:`refuse_newer` does, and one that no doorctl has laid out.

    Raises:
        StoreError: it is newer, foreign, or not made yet.
        sqlite3.Error: SQLite's own trouble.
    """
    refuse_newer(database, migrations)
    if len(migrations.pending(database)) == newest(migrations):
        raise StoreError(f"{migrations.name}.db can't be used: it does not hold doorctl's tables")


@cache
def newest(migrations: Migrations) -> int:
    """Return the number of the layout that this program makes: of how many steps it consists."""
    # What SQLite's Python library knows of none.
    with closing(Database(memory=True, execute_plugins=False)) as nothing:
        return len(migrations.pending(nothing))


def _names_unknown(error: sqlite3.OperationalError) -> bool:
    # SQLITE_ERROR alone would be every trouble that has no code of its own.
    return str(error).startswith(("no such table: ", "no such column: "))
