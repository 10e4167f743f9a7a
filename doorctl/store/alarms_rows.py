"""The table of alarms, and each record as a row and back. It names nobody but staff."""

from __future__ import annotations

from typing import Any

from doorctl.notices.standing import AlarmRecord, Source
from doorctl.store.visit_rows import from_ms

ALARMS = "kind, source, first_ms, last_ms, count, why, cleared_ms, acknowledged_by, acknowledged_ms"
"""All that an alarm is, in the order of :func:`to_alarm`."""

ALARMS_SCHEMA = (
    """
    CREATE TABLE alarms (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        count INTEGER NOT NULL,
        why TEXT NOT NULL,
        cleared_ms INTEGER,
        acknowledged_by TEXT,
        acknowledged_ms INTEGER,
        CHECK ((acknowledged_by IS NULL) = (acknowledged_ms IS NULL))
    ) STRICT
    """,
    # One of each kind stands at the most, so what stands is no longer than the list of kinds.
    "CREATE UNIQUE INDEX alarms_standing ON alarms (kind) WHERE cleared_ms IS NULL",
)


def to_alarm(record: tuple[Any, ...]) -> AlarmRecord:
    """Return the alarm of a record of :data:`ALARMS`.

    Raises:
        TypeError, ValueError: it is none; the text may quote it.
    """
    kind, source, first_ms, last_ms, count, why, cleared_ms, by, acknowledged_ms = record
    return AlarmRecord(
        kind=kind,
        source=Source(source),
        since=from_ms(first_ms),
        last=from_ms(last_ms),
        count=count,
        why=why,
        cleared_at=None if cleared_ms is None else from_ms(cleared_ms),
        acknowledged_by=by,
        acknowledged_at=None if acknowledged_ms is None else from_ms(acknowledged_ms),
    )
