"""Rewrites what a database keeps of cards, as it is under a key that was laid over the old one.

Nobody has to know a card's number for that, so nothing is lost: no ban of a card that is in no
register, no pass by a code, no count of wrong PINs. A tombstone's mark can't be rewritten and
need not be: no push of the old key is taken any more, and a patron's number stays what it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from doorctl.access.codes_throttle import CODES_KEY
from doorctl.access.patron import overlaid
from doorctl.masked import InstallationKey
from doorctl.store.connection import transaction, translated
from doorctl.store.sealing import earlier_keys, key_id, links
from doorctl.store.writer import Writer

Columns = Mapping[str, tuple[str, ...]]

PATRONS: Columns = {
    "patrons": ("row_key", "pin_check"),
    "learnt": ("row_key", "pin_check"),
    "asked": ("row_key", "pin_check"),
    "shut_out": ("row_key", "pin_check"),
}
VISITS: Columns = {"attempts": ("row_key",), "throttles": ("row_key",), "wrong_pins": ("row_key",)}
BRANCH: Columns = {
    "bans": ("row_key",),
    "restrictions": ("row_key",),
    "passes": ("row_key", "pin_check"),
}


def lay_over(writer: Writer, columns: Columns, key: InstallationKey) -> bool:
    """Rewrite one database for the newest key, in one durable transaction; once, however often.

    Args:
        writer: of the database; its rows are of the key before.
        columns: table -> what in it is of a card.
        key: the newest, with all before it.

    Returns:
        Whether there was anything to do.

    Raises:
        StoreError: nothing was changed.
    """
    path, mark = writer.path, int(key_id(key), 16) >> 1
    with translated(path), transaction(writer.database) as connection:
        if connection.execute("PRAGMA application_id").fetchone() == (mark,):
            return False
        if columns is PATRONS and not _restamped(connection, key):
            return False
        link = links(key)[-1:]
        connection.create_function("overlaid", 1, lambda value: value and overlaid(value, link))
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for table, names in columns.items():
            values = ", ".join(f"{name} = overlaid({name})" for name in names)
            # What a start in between has counted gives way to what was counted before.
            connection.execute(
                f"UPDATE OR REPLACE {table} SET {values} WHERE row_key <> ?",  # noqa: S608 -- ours
                (CODES_KEY,),
            )
        connection.execute(f"PRAGMA application_id = {mark}")
    return True


def _restamped(connection: sqlite3.Connection, key: InstallationKey) -> bool:
    """Say in the cache that its rows are of the newest key; that of no other key stays as it is.

    Without a digest the sender sends all rows once more.
    """
    change = "UPDATE cache SET key_id = ?, digest = '' WHERE key_id = ?"
    before = key_id(earlier_keys(key)[0])
    return connection.execute(change, (key_id(key), before)).rowcount == 1
