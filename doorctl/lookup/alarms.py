"""An alarm on its way out of a process: its thread, and what is said where it was not sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from doorctl.core.alarms import (
    NOT_SENT,
)
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.ops.threads import RepeatingJob

REST_S = 15.0
"""Pause between two turns while an item waits; the shortest after a failure is 5 s."""


def started(
    turn: Callable[[], bool], name: str, log: EventLog, stack: ExitStack, rest_s: float = REST_S
) -> RepeatingJob:
    """Return a started thread whose faults are alarmed as ``alarm_not_sent``.

    Another turn follows after `rest_s`, unless the last one returned False.
    """

    def failed(err: Exception) -> None:
        not_sent(log, f"{name}: a fault of doorctl's own ({type(err).__name__})")

    thread = RepeatingJob(name, turn, rest_s, failed)
    thread.start()
    stack.callback(thread.stop, 1.0)
    return thread


def not_sent(log: EventLog, why: str, part: str = "") -> None:
    """Log that an alarm was not sent; `part` is what failed, where it may end."""
    AlarmOnce(log, NOT_SENT, part).tell(why)
