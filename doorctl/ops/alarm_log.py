"""Passes the log's alarms on to the ways out."""

from __future__ import annotations

from collections.abc import Callable

from doorctl.core.alarms import RaisedAlarm
from doorctl.core.ports import Clock, EventLog

ALARM = "alarm"


class AlarmLog:
    """An EventLog that also passes on each ``alarm``. Thread-safe, never blocks, never raises.

    `log` gets every line first, so that the journal has it whatever happens then; `hear` must
    neither block nor raise.
    """

    def __init__(self, log: EventLog, hear: Callable[[RaisedAlarm], None], clock: Clock) -> None:
        self._log = log
        self._hear = hear
        self._clock = clock

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; of an alarm only its kind and its words are passed on."""
        self._log.emit(event, **fields)
        if event == ALARM:
            kind, why = str(fields.get("kind", "")), str(fields.get("why") or "")
            self._hear(RaisedAlarm(kind, why, self._clock.monotonic_s()))
