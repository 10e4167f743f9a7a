"""The audit log in ``branch.db``: its one writer, beside that of bans and hours, and readers."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from doorctl.core.moments import Moment
from doorctl.privacy.audit import (
    EMPTY,
    SALT_BYTES,
    Action,
    Deed,
    Entry,
    Head,
    Link,
    head_of,
    linked,
)
from doorctl.store.branch import BranchReader, never_made
from doorctl.store.branch_rows import ABOUT, ERASE_ABOUT, about_values, from_deed, to_entry
from doorctl.store.connection import translated
from doorctl.store.visit_rows import to_ms

if TYPE_CHECKING:
    # A command that only reads needs no writer.
    from doorctl.store.branch_writer import BranchRecordsWriter

_HEAD = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"
_HOLDS = "SELECT 1 FROM audit WHERE number = ? AND hash = ?"
_ADD = "INSERT INTO audit (number, record, salt, commitment, hash) VALUES (?, ?, ?, ?, ?)"
# As bytes, for what was tampered with may hold what is no text.
_LINKS = "SELECT number, CAST(record AS BLOB), salt, commitment, hash FROM audit ORDER BY number"
_ABOUT = f"SELECT number, record FROM audit WHERE {ABOUT} ORDER BY number"  # noqa: S608 -- constants
_ENTRIES = "SELECT number, record FROM audit WHERE record IS NOT NULL ORDER BY number"
_SINCE = """
    SELECT number, record FROM audit
    WHERE record IS NOT NULL AND json_extract(record, '$.at_ms') >= ? ORDER BY number
"""
_LAST_NUMBER = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'"

# The newest first, so that no more than a push's worth of entries is looked at.
_LAST_PUSH = """
    SELECT json_extract(record, '$.details.epoch') FROM audit
    WHERE record IS NOT NULL AND json_extract(record, '$.action') IN (?, ?)
    ORDER BY number DESC LIMIT 1
"""
_NUMBERED = (Action.PUSH_APPLIED.value, Action.PATRONS_RENUMBERED.value)


class AuditTrail:
    """Write the audit log; implements `AuditWriter`.

    It works on the thread of the branch's writer and shares its transactions.
    """

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def together(self, moment: Moment) -> AbstractContextManager[sqlite3.Connection]:
        """Make all that a block writes to ``branch.db`` one transaction; an exception undoes it."""
        return self._branch.together(moment)

    def append(self, deed: Deed, by: str, moment: Moment) -> Head:
        """Record a deed; return the chain's new end."""
        record, salt = from_deed(deed, by, moment), secrets.token_bytes(SALT_BYTES)
        with self._branch.together(moment) as connection:
            link = linked(_head(connection), record, salt)
            values = (link.number, record.decode(), link.salt, link.commitment, link.hash)
            connection.execute(_ADD, values)
        return head_of(link)

    def erase_about(
        self, cards: Collection[bytes], patron_ref: str | None, moment: Moment
    ) -> tuple[int, ...]:
        """Erase the records that name one of the cards or the patron; return their numbers."""
        with self._branch.together(moment) as connection:
            erased = connection.execute(ERASE_ABOUT, about_values(cards, patron_ref)).fetchall()
            if erased:
                self._branch.rewrite_after()
        return tuple(number for (number,) in erased)

    def head(self) -> Head:
        """Return the chain's end."""
        with translated(self._branch.path):
            return _head(self._branch.database)

    def holds(self, head: Head) -> bool:
        """Tell whether the chain has ever ended with this head."""
        with translated(self._branch.path):
            cursor = self._branch.database.execute(_HOLDS, (head.number, head.hash))
            return head == EMPTY or cursor.fetchone() is not None


class AuditRecords(BranchReader):
    """Read the audit log; implements `AuditReader`."""

    unreadable = "an audit record can't be read; run `doorctl audit verify`"

    def entries(self, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return the entries that were not erased, from a UTC time on, oldest first."""
        if since is None:
            return self._fetch(_to_entry, _ENTRIES)
        return self._fetch(_to_entry, _SINCE, (to_ms(since),))

    def about(self, cards: Collection[bytes], patron_ref: str | None) -> tuple[Entry, ...]:
        """Return the entries that name one of the cards or the patron, oldest first."""
        return self._fetch(_to_entry, _ABOUT, about_values(cards, patron_ref))

    def head(self) -> Head:
        """Return the chain's end."""
        records = self._records(_HEAD)
        return Head(*records[0]) if records else EMPTY

    def links(self) -> Iterator[Link]:
        """Yield every link of one commit, erased ones too, in the order of their numbers."""
        if never_made(self.path):
            return
        with translated(self.path):
            for record in self._rows.current().execute(_LINKS):
                yield Link(*record)

    def last_number(self) -> int:
        """Return the highest entry number ever given, 0 for none."""
        records = self._records(_LAST_NUMBER)
        return int(records[0][0]) if records else 0

    def last_push(self) -> int:
        """Return the number of the push applied last, or the lower one it got later; 0 for none."""
        records = self._records(_LAST_PUSH, _NUMBERED)
        return int(records[0][0]) if records else 0


def _to_entry(record: tuple[Any, ...]) -> Entry:
    return to_entry(*record)


def _head(connection: sqlite3.Connection) -> Head:
    record = connection.execute(_HEAD).fetchone()
    return Head(*record) if record else EMPTY
