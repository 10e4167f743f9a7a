"""The alarms in ``branch.db``: their one writer, and a reader; they name staff alone.

The writer works beside that of bans and hours, on its thread, and shares its transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import ENDS, KINDS, Source
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.store import tables
from doorctl.store.branch import BranchReader, known
from doorctl.store.tables import from_ms, maybe, select, to_ms

if TYPE_CHECKING:
    from doorctl.store.branch_writer import BranchRecordsWriter


ALARMS = tables.ALARMS.but("number")
"""The columns of an alarm, in the order of :func:`to_alarm`."""


def to_alarm(record: tuple[Any, ...]) -> AlarmRecord:
    """Return the alarm of a record of :data:`ALARMS`, else raise TypeError or ValueError."""
    kind, source, first_ms, last_ms, count, why, cleared_ms, by, acknowledged_ms = record
    raised = (Source(source), from_ms(first_ms), from_ms(last_ms), count, why)
    ended = (maybe(from_ms, cleared_ms), by, maybe(from_ms, acknowledged_ms))
    return AlarmRecord(kind, *raised, *ended)


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

_END_ALARM = """
    UPDATE alarms SET cleared_ms = max(last_ms, ?) WHERE kind = ? AND cleared_ms IS NULL
"""

_FORGET_ALARMS = """
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

_STANDING = select(ALARMS, "alarms WHERE cleared_ms IS NULL ORDER BY first_ms, number")

_ENDED = select(
    ALARMS,
    "alarms WHERE cleared_ms IS NOT NULL ORDER BY cleared_ms DESC, number DESC LIMIT max(0, ?)",
)


class StoredAlarms:
    """Write alarms in the transactions of the branch's writer; nothing where it raises."""

    def __init__(self, branch: BranchRecordsWriter) -> None:
        self._branch = branch

    def hear(self, alarm: AlarmRecord, moment: Moment) -> None:
        """Record that an alarm was raised, or end the alarm that this one clears."""
        at_ms = to_ms(alarm.since)
        ends = KINDS[alarm.kind].clears
        with self._branch.together(moment) as connection:
            if ends is not None:
                connection.execute(_END_ALARM, (at_ms, ends))
                self._forget(connection)
                return
            raised = {"kind": alarm.kind, "source": alarm.source.value, "why": alarm.why}
            connection.execute(_RAISE, raised | {"at": at_ms})

    def end(self, kinds: Collection[str], moment: Moment) -> int:
        """End the standing alarms of these kinds; return how many stood."""
        now_ms = to_ms(known(moment))
        with self._branch.together(moment) as connection:
            ended = connection.executemany(_END_ALARM, [(now_ms, kind) for kind in kinds]).rowcount
            self._forget(connection)
        return ended

    def acknowledge(self, kind: str, by: str, moment: Moment) -> bool:
        """Record who saw an alarm, False if it was seen; ends one that has no end of its own."""
        with self._branch.together(moment) as connection:
            record = connection.execute(_ACKNOWLEDGED, (kind,)).fetchone()
            if record is None:
                raise InputError("no such alarm stands; it may be over by now, so look again")
            if record[0] is not None:
                return False
            connection.execute(_ACKNOWLEDGE, (by, to_ms(known(moment)), kind))
            if kind not in ENDS:
                self.end((kind,), moment)
        return True

    def _forget(self, connection: sqlite3.Connection) -> None:
        if connection.execute(_COUNT_ENDED).fetchone()[0] > MOST_ENDED:
            connection.execute(_FORGET_ALARMS, (LEFT_ENDED,))
            self._branch.rewrite_after()


class AlarmRecords(BranchReader):
    """Read alarms; raises `StoreError` where they can't be read."""

    def standing(self) -> tuple[AlarmRecord, ...]:
        """Return the standing alarms, the longest standing first."""
        return self._fetch(to_alarm, _STANDING)

    def ended(self, limit: int) -> tuple[AlarmRecord, ...]:
        """Return the last alarms that are over, the latest end first; none for a limit of 0."""
        return self._fetch(to_alarm, _ENDED, (limit,))
