"""The audit log in ``branch.db``: its one writer, and a reader.

The writer works beside that of bans and hours, on its thread, and shares its transactions.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import Action, Deed, Entry, account
from doorctl.privacy.audit_chain import EMPTY, SALT_BYTES, Head, Link, head_of, linked
from doorctl.store.branch import BranchReader, never_made
from doorctl.store.connection import translated
from doorctl.store.tables import from_ms, select, to_ms

if TYPE_CHECKING:
    from doorctl.store.branch_writer import BranchRecordsWriter


ABOUT = """
    record IS NOT NULL AND (
        json_extract(record, '$.patron_ref') = :patron_ref OR EXISTS (
            SELECT 1 FROM json_each(record, '$.cards')
            WHERE value IN (SELECT value FROM json_each(:cards))
        )
    )
"""
"""The condition for records that name one of the cards or the patron; see :func:`about_values`."""

ERASE_ABOUT = f"UPDATE audit SET record = NULL, salt = NULL WHERE {ABOUT} RETURNING number"  # noqa: S608 -- constants


def about_values(cards: Collection[bytes], patron_ref: str | None) -> dict[str, str | None]:
    """Return the parameters of :data:`ABOUT`."""
    return {
        "patron_ref": patron_ref,
        "cards": orjson.dumps([card.hex() for card in cards]).decode(),
    }


def from_deed(deed: Deed, by: str, moment: Moment) -> bytes:
    """Return the record of a deed, as JSON."""
    record = {
        "at_ms": to_ms(moment.local),
        "clock": moment.state.value,
        "by": account(by),
        "action": deed.action.value,
        "cards": [card.hex() for card in deed.cards],
        "patron_ref": deed.patron_ref,
        "why": deed.why,
        "details": dict(deed.details),
    }
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def to_entry(numbered: tuple[int, str]) -> Entry:
    """Return the entry that `from_deed` made, else raise TypeError, ValueError or LookupError."""
    number, record = numbered
    read: dict[str, Any] = orjson.loads(record)
    deed = Deed(
        action=Action(read["action"]),
        cards=tuple(map(bytes.fromhex, read["cards"])),
        patron_ref=read["patron_ref"],
        why=read["why"],
        details=read["details"],
    )
    return Entry(number, from_ms(read["at_ms"]), ClockState(read["clock"]), read["by"], deed)


_HEAD = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"
_HOLDS = "SELECT 1 FROM audit WHERE number = ? AND hash = ?"
_ADD = "INSERT INTO audit (number, record, salt, commitment, hash) VALUES (?, ?, ?, ?, ?)"
# As bytes, for what was tampered with may hold what is no text.
_LINKS = "SELECT number, CAST(record AS BLOB), salt, commitment, hash FROM audit ORDER BY number"
_ABOUT = select("number, record", f"audit WHERE {ABOUT} ORDER BY number")
_ENTRIES = "SELECT number, record FROM audit WHERE record IS NOT NULL ORDER BY number"
_SINCE = """
    SELECT number, record FROM audit
    WHERE record IS NOT NULL AND json_extract(record, '$.at_ms') >= ? ORDER BY number
"""
_LAST_BEFORE = """
    SELECT number, json_extract(record, '$.at_ms') FROM audit
    WHERE json_extract(record, '$.at_ms') < ? AND json_extract(record, '$.clock') <> 'untrusted'
    ORDER BY number DESC LIMIT 1
"""
_LAST_NUMBER = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'"

# The newest first, so that no more than a push's worth of entries is looked at.
_LAST_PUSH = """
    SELECT json_extract(record, '$.details.epoch') FROM audit
    WHERE record IS NOT NULL AND json_extract(record, '$.action') IN (?, ?)
    ORDER BY number DESC LIMIT 1
"""
_BEGAN = """
    SELECT json_extract(record, '$.at_ms') FROM audit
    WHERE record IS NOT NULL ORDER BY number LIMIT 1
"""
_LAST_BACKUP = """
    SELECT json_extract(record, '$.at_ms') FROM audit
    WHERE number > ? AND record IS NOT NULL AND json_extract(record, '$.action') = ?
        AND json_extract(record, '$.details.recipients') ORDER BY number DESC LIMIT 1
"""
_NUMBERED = (Action.PUSH_APPLIED.value, Action.PATRONS_RENUMBERED.value)


class AuditTrail:
    """Write the audit log in the transactions of the branch's writer.

    Raises StoreError: nothing was written, so what was to be shown may not be.
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
        """Erase the records that name one of the cards or the patron; return their numbers.

        The caller puts :func:`~doorctl.privacy.audit_chain.erased_numbers` of them on record.
        """
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
        cursor = self._branch.execute(_HOLDS, (head.number, head.hash))
        return head == EMPTY or cursor.fetchone() is not None

    def last_before(self, at: datetime) -> tuple[int, datetime] | None:
        """Return the last entry dated before a time, by its number and UTC time; None for none."""
        record = self._branch.execute(_LAST_BEFORE, (to_ms(at),)).fetchone()
        return record and (record[0], from_ms(record[1]))


class AuditRecords(BranchReader):
    """Read the audit log."""

    unreadable = "an audit record can't be read; run `doorctl audit verify`"

    def entries(self, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return the entries that were not erased, from a UTC time on, oldest first."""
        if since is None:
            return self._fetch(to_entry, _ENTRIES)
        return self._fetch(to_entry, _SINCE, (to_ms(since),))

    def about(self, cards: Collection[bytes], patron_ref: str | None) -> tuple[Entry, ...]:
        """Return the entries that name one of the cards or the patron, oldest first."""
        return self._fetch(to_entry, _ABOUT, about_values(cards, patron_ref))

    def head(self) -> Head:
        """Return the chain's end."""
        records = self._records(_HEAD)
        return Head(*records[0]) if records else EMPTY

    def links(self) -> Iterator[Link]:
        """Yield every link of one commit, erased ones too, in the order of their numbers."""
        if never_made(self.path):
            return
        with translated(self.path):
            for record in self.reader.current().execute(_LINKS):
                yield Link(*record)

    def last_number(self) -> int:
        """Return the highest entry number ever given, 0 for none."""
        records = self._records(_LAST_NUMBER)
        return int(records[0][0]) if records else 0

    def last_push(self) -> int:
        """Return the number of the push applied last, or the lower one it got later; 0 for none."""
        records = self._records(_LAST_PUSH, _NUMBERED)
        return int(records[0][0]) if records else 0

    def began(self) -> datetime | None:
        """Return when its first entry was made, UTC: about when it was installed; None for none."""
        records = self._records(_BEGAN)
        return from_ms(records[0][0]) if records else None

    def holds(self, head: Head) -> bool:
        """Tell whether the chain has ever ended with this head."""
        return head == EMPTY or bool(self._records(_HOLDS, (head.number, head.hash)))

    def last_backup(self, after: int = 0) -> datetime | None:
        """Return when the last encrypted backup was made and sent, UTC; None for none.

        Only entries `after` that number are looked at.
        """
        records = self._records(_LAST_BACKUP, (after, Action.BACKUP_MADE.value))
        return from_ms(records[0][0]) if records else None


@dataclass(eq=False)
class LastBackup:
    """When the last backup was made, by looks at an audit log of which each sees what is new.

    `made`: UTC, None for none; `began`: when the log's first entry was made, None for none yet.
    """

    made: datetime | None = None
    began: datetime | None = None
    _seen: Head = EMPTY

    def look(self, records: AuditRecords) -> None:
        """Take in what has come since the last look; all of a log that is another one now."""
        if not records.holds(self._seen):
            self.made, self.began, self._seen = None, None, EMPTY
        # First, so that what comes meanwhile is seen the next time.
        head = records.head()
        self.made = records.last_backup(self._seen.number) or self.made
        self.began = self.began or records.began()
        self._seen = head


def _head(connection: sqlite3.Connection) -> Head:
    record = connection.execute(_HEAD).fetchone()
    return Head(*record) if record else EMPTY
