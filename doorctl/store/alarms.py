"""Alarms in ``branch.db``: their one writer, beside that of bans and hours, and a reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import TYPE_CHECKING

from doorctl.core.alarms import KINDS, WITH_END, AlarmChange, AlarmRecord
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.store.branch import BranchReader
from doorctl.store.branch_rows import ALARMS, to_alarm
from doorctl.store.branch_rules import known
from doorctl.store.visit_rows import to_ms

if TYPE_CHECKING:
    # A command that only reads needs no writer.
    from doorctl.store.branch_writer import BranchRecordsWriter

MOST_ENDED, LEFT_ENDED = 500, 400
"""Above the first number, the ended alarms are deleted down to the second, the oldest first. Many
go at a time, because the file is rewritten without them."""

_RAISE = """
    INSERT INTO alarms (kind, source, first_ms, last_ms, count, why)
    VALUES (:kind, :source, :at, :at, 1, :why)
    ON CONFLICT (kind) WHERE cleared_ms IS NULL DO UPDATE SET
        source = excluded.source, last_ms = max(last_ms, excluded.last_ms),
        count = count + 1, why = excluded.why
"""
_END = """
    UPDATE alarms SET cleared_ms = max(last_ms, ?) WHERE kind = ? AND cleared_ms IS NULL
"""
_FORGET = """
    DELETE FROM alarms WHERE number IN (
        SELECT number FROM alarms WHERE cleared_ms IS NOT NULL
        ORDER BY cleared_ms DESC, number DESC LIMIT -1 OFFSET ?
    )
"""
_COUNT_ENDED = "SELECT count(*) FROM alarms WHERE cleared_ms IS NOT NULL"
_ACKNOWLEDGED = "SELECT acknowledged_ms FROM alarms WHERE kind = ? AND cleared_ms IS NULL"
_ACKNOWLEDGE = """
    UPDATE alarms SET acknowledged_by = ?, acknowledged_ms = ?
    WHERE kind = ? AND cleared_ms IS NULL
"""
_STANDING = f"SELECT {ALARMS} FROM alarms WHERE cleared_ms IS NULL ORDER BY first_ms, number"  # noqa: S608 -- constants
_ENDED = f"""
    SELECT {ALARMS} FROM alarms WHERE cleared_ms IS NOT NULL
    ORDER BY cleared_ms DESC, number DESC LIMIT max(0, ?)
"""  # noqa: S608 -- constants


class StoredAlarms:
    """Write alarms, on the thread of the branch's writer, whose transactions it shares.

    Each call is one durable transaction or part of one; where it raises `StoreError` nothing was
    changed.
    """

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def hear(self, change: AlarmChange, moment: Moment) -> None:
        """Record that an alarm was raised, or end the alarm that this one clears."""
        at_ms = to_ms(change.at)
        ends = KINDS[change.kind].clears
        with self._branch.together(moment) as connection:
            if ends is not None:
                connection.execute(_END, (at_ms, ends))
                self._forget(connection)
                return
            values = {
                "kind": change.kind,
                "source": change.source.value,
                "at": at_ms,
                "why": change.why,
            }
            connection.execute(_RAISE, values)

    def end(self, kinds: Collection[str], moment: Moment) -> None:
        """End the standing alarms of these kinds."""
        now_ms = to_ms(known(moment))
        with self._branch.together(moment) as connection:
            connection.executemany(_END, [(now_ms, kind) for kind in kinds])
            self._forget(connection)

    def acknowledge(self, kind: str, by: str, moment: Moment) -> bool:
        """Record who has seen an alarm; this ends one that has no end of its own.

        Return False where it had been seen already. Raises InputError where none stands.
        """
        with self._branch.together(moment) as connection:
            record = connection.execute(_ACKNOWLEDGED, (kind,)).fetchone()
            if record is None:
                raise InputError("no such alarm stands; it may be over by now, so look again")
            if record[0] is not None:
                return False
            connection.execute(_ACKNOWLEDGE, (by, to_ms(known(moment)), kind))
            if kind not in WITH_END:
                self.end((kind,), moment)
        return True

    def _forget(self, connection: sqlite3.Connection) -> None:
        if connection.execute(_COUNT_ENDED).fetchone()[0] > MOST_ENDED:
            connection.execute(_FORGET, (LEFT_ENDED,))
            self._branch.rewrite_after()


class AlarmRecords(BranchReader):
    """Read alarms; raises `StoreError` where they can't be read."""

    def standing(self) -> tuple[AlarmRecord, ...]:
        """Return the standing alarms, the longest standing first."""
        return self._fetch(to_alarm, _STANDING)

    def ended(self, limit: int) -> tuple[AlarmRecord, ...]:
        """Return the last alarms that are over, the latest end first; none for a limit of 0."""
        return self._fetch(to_alarm, _ENDED, (limit,))
