"""The door's end of an alarm's way: to the web process, and what stands here.

The door imports neither mail nor HTTP, nor the writer of ``branch.db``.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial

from doorctl.config import Config
from doorctl.core.alarms import (
    RaisedAlarm,
)
from doorctl.core.ports import Clock, EventLog
from doorctl.core.raised import Raised
from doorctl.lookup.alarms import not_sent, started
from doorctl.lookup.configured import WEBS_CONFIG
from doorctl.notices.sending import AlarmLog, Outbox
from doorctl.rpc.alarms import send_alarm, standing_answers
from doorctl.rpc.question import Answers


class DoorsAlarms:
    """The door's end of the way: `log` also sends each alarm to web; `answers` say what stands.

    While web is down, the newest alarms wait for it, as many as an `Outbox` keeps. Older ones are
    dropped, but web asks for those that still stand. A web process that is down is alarmed only
    while mail or webhook is `wanted`.
    """

    def __init__(self, config: Config, log: EventLog, clock: Clock, stack: ExitStack) -> None:
        self.wanted = config.alarms.wanted
        self._journal, self._clock, self._raised = log, clock, Raised()
        send = partial(send_alarm, config.web.socket, clock)
        outbox: Outbox[RaisedAlarm] = Outbox(send, self._failed, given_up_s=math.inf)
        self._put = outbox.put
        self._wake = started(lambda: outbox.turn(clock.monotonic_s()), "alarms", log, stack).wake
        self.log: EventLog = AlarmLog(log, self._hear, clock, self._raised)
        self.answers: Answers = standing_answers(self._asked, clock)
        has_web = (config.storage.directory / WEBS_CONFIG).exists()
        self._web_seen_s: float | None = clock.monotonic_s() if has_web else None

    def standing(self) -> tuple[RaisedAlarm, ...]:
        """Return the door's alarms that stand. Thread-safe."""
        return self._raised.standing()

    def web_seen_s(self) -> float | None:
        """Return when web gave its last sign of life, monotonic; at first, when the door began.

        None where no web process has ever run at the branch.
        """
        return self._web_seen_s

    def _asked(self) -> Raised:
        self._web_seen_s = self._clock.monotonic_s()
        return self._raised

    def _hear(self, heard: RaisedAlarm) -> None:
        self._put(heard)
        self._wake()

    def _failed(self, why: str) -> None:
        if self.wanted:
            not_sent(self._journal, why)
