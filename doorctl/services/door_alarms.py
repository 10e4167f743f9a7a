"""Builds the first half of an alarm's way: from the door to the web process.

The door imports neither mail nor HTTP for it; see `doorctl.services.alarms` for the other half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from doorctl.config import Config
from doorctl.core.alarms import NOT_SENT, Raised, RaisedAlarm
from doorctl.core.ports import Clock, EventLog
from doorctl.notices.sending import Outbox
from doorctl.ops.alarm_log import AlarmLog
from doorctl.ops.threads import Turns
from doorctl.rpc.control import Answers
from doorctl.rpc.door import AlarmsOverSocket, standing_answers


@dataclass(frozen=True, slots=True)
class DoorsAlarms:
    """The door's end of the way; `log` also sends each alarm to web.

    Args:
        request_s: returns when web asked last, monotonic seconds; None where it never has.
        want: sets whether mail or webhook is wanted from now on.
    """

    log: EventLog
    answers: Answers
    request_s: Callable[[], float | None]
    want: Callable[[bool], None]


def doors_alarms(config: Config, log: EventLog, clock: Clock, stack: ExitStack) -> DoorsAlarms:
    """Return the log for the door process, whose alarms also go to web.

    While web is down, the newest alarms wait for it, as many as an `Outbox` keeps. Older ones are
    dropped, but web asks for those that still stand. A web process that is down is alarmed only
    where mail or webhook is wanted.
    """
    road, raised = AlarmsOverSocket(config.web.socket, clock), Raised()
    request_s: float | None = None
    wanted = config.alarms.wanted

    def want(now: bool) -> None:
        nonlocal wanted
        wanted = now

    def standing() -> tuple[RaisedAlarm, ...]:
        nonlocal request_s
        request_s = clock.monotonic_s()
        return raised.standing()

    def failed(why: str) -> None:
        if wanted:
            not_sent(log, why)

    outbox: Outbox[RaisedAlarm] = Outbox(road.send, failed, given_up_s=math.inf)

    def turn() -> bool:
        outbox.turn(clock.monotonic_s())
        return outbox.waits

    thread = started(turn, "alarms", log, stack)

    def hear(heard: RaisedAlarm) -> None:
        raised.hear(heard)
        outbox.put(heard)
        thread.wake()

    return DoorsAlarms(
        AlarmLog(log, hear, clock), standing_answers(standing, clock), lambda: request_s, want
    )


REST_S = 15.0
"""Pause between two turns while an item waits; the shortest after a failure is 5 s."""


def started(
    turn: Callable[[], bool],
    name: str,
    log: EventLog,
    stack: ExitStack,
    rest_s: float = REST_S,
) -> Turns:
    """Return a started thread whose faults are alarmed as ``alarm_not_sent``.

    Another turn follows after `rest_s`, unless the last one returned False.
    """

    def failed(err: Exception) -> None:
        not_sent(log, f"{name}: a fault of doorctl's own ({type(err).__name__})")

    thread = Turns(name, turn, rest_s, failed)
    thread.start()
    stack.callback(thread.stop, 1.0)
    return thread


def not_sent(log: EventLog, why: str) -> None:
    """Log that an alarm was not sent."""
    log.emit("alarm", kind=NOT_SENT, why=why)
