"""Builds the first half of an alarm's way: from the door to the web process.

The door imports neither mail nor HTTP for it; see `alarms` for the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from doorctl.alarms import NOT_SENT
from doorctl.config import Config
from doorctl.notices.outbox import Outbox
from doorctl.notices.rationing import Heard
from doorctl.ops.alarm_log import REST_S, AlarmLog, TurningThread
from doorctl.ports import Clock, EventLog
from doorctl.transports.alarms import AlarmsOverSocket


def doors_alarm_log(config: Config, log: EventLog, clock: Clock, stack: ExitStack) -> EventLog:
    """Return the log for the door process: its alarms also go to web, if they go anywhere.

    Args:
        config: the whole configuration.
        log: the journal's.
        clock: the door's.
        stack: ends the thread.
    """
    if not config.alarms.wanted:
        return log
    road = AlarmsOverSocket(config.web.socket, clock)
    outbox: Outbox[Heard] = Outbox(road.send, partial(not_sent, log))

    def turn() -> bool:
        outbox.turn(clock.monotonic_s())
        return outbox.waits

    thread = started(turn, "alarms", log, stack)

    def hear(heard: Heard) -> None:
        outbox.put(heard)
        thread.wake()

    return AlarmLog(log, hear, clock)


def started(
    turn: Callable[[], bool],
    name: str,
    log: EventLog,
    stack: ExitStack,
    rest_s: float = REST_S,
) -> TurningThread:
    """Return a thread that has begun; what is wrong with it is told as ``alarm_not_sent``.

    Args:
        turn: see `TurningThread`.
        name: the thread's.
        log: the journal's.
        stack: ends the thread.
        rest_s: see `TurningThread`.
    """

    def failed(err: Exception) -> None:
        not_sent(log, f"{name}: a fault of doorctl's own ({type(err).__name__})")

    thread = TurningThread(turn, failed, name, rest_s)
    thread.start()
    stack.callback(thread.stop)
    return thread


def not_sent(log: EventLog, why: str) -> None:
    """Tell in the journal that an alarm went no further."""
    log.emit("alarm", kind=NOT_SENT, why=why)
