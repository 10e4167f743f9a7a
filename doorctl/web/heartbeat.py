"""Asks the dead-man's switch each hour while all is well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial

from doorctl.config import Config
from doorctl.core.alarms import (
    NOT_SENT,
)
from doorctl.core.errors import DoorctlError, KeyFileError
from doorctl.core.ports import AlarmOnce, Clock, EventLog, NotSentError
from doorctl.lookup.alarms import not_sent, started
from doorctl.lookup.health import ask_deciding

BEAT_EVERY_S, BEAT_TURN_S = 3600.0, 60.0

BEAT_AFTER_S = 300.0
"""A web process that dies again and again must not look well at each start."""


@dataclass(eq=False)
class Heartbeat:
    """Has `beat` called each hour while all is well, and as soon as it is again. One thread.

    `well` raises DoorctlError where the door does not decide; `beat` raises NotSentError.
    """

    well: Callable[[], object]
    beat: Callable[[], None]
    clock: Clock
    log: EventLog

    def __post_init__(self) -> None:
        self._due_s = self.clock.monotonic_s() + BEAT_AFTER_S
        self._failing = AlarmOnce(self.log, NOT_SENT, "heartbeat")

    def turn(self) -> bool:
        """Beat if it is time; a failure is alarmed once, and tried again at each turn."""
        if self.clock.monotonic_s() < self._due_s:
            return True
        with suppress(DoorctlError):
            self.well()
            try:
                self.beat()
            except NotSentError as err:
                self._failing.tell(str(err))
            else:
                self._failing.tell(None)
                self._due_s = self.clock.monotonic_s() + BEAT_EVERY_S
        return True


def start_heartbeat(config: Config, clock: Clock, log: EventLog, stack: ExitStack) -> None:
    """Begin to ask the dead-man's switch, where one is named; its faults go to `log`."""
    url, authority = config.alarms.heartbeat.url, config.alarms.heartbeat.ca_file
    if not url:
        return
    from doorctl.core.asking import trusting
    from doorctl.notices.webhook import DeadMansSwitch  # HTTP costs megabytes

    try:
        switch = DeadMansSwitch(url, trusting(authority))
    except KeyFileError as err:
        not_sent(log, f"heartbeat: {err}", "heartbeat")
        return
    beating = Heartbeat(partial(ask_deciding, config), switch.beat, clock, log)
    started(beating.turn, "heartbeat", log, stack, BEAT_TURN_S)
