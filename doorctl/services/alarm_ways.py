"""The ways of an alarm: from the door to the web process, and from web by mail and webhook.

The door imports neither mail nor HTTP. What web does in between: `doorctl.services.alarms`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial

from doorctl.config import Config
from doorctl.core.alarms import KINDS, NOT_SENT, Raised, RaisedAlarm
from doorctl.core.errors import DoorctlError, InputError, KeyFileError
from doorctl.core.ports import AlarmOnce, AlarmSink, Clock, EventLog, NotSentError
from doorctl.notices.sending import AlarmLog, Outbox, notice
from doorctl.ops.process import Turns
from doorctl.rpc.control import Answers
from doorctl.rpc.door import AlarmsOverSocket, standing_answers
from doorctl.services.app import system_clock
from doorctl.services.check import ask_deciding


class DoorsAlarms:
    """The door's end of the way: `log` also sends each alarm to web, `answers` is web's question.

    While web is down, the newest alarms wait for it, as many as an `Outbox` keeps. Older ones are
    dropped, but web asks for those that still stand. A web process that is down is alarmed only
    while mail or webhook is `wanted`.
    """

    def __init__(self, config: Config, log: EventLog, clock: Clock, stack: ExitStack) -> None:
        self.wanted = config.alarms.wanted
        self._asked_s: float | None = None
        self._journal, self._clock, self._raised = log, clock, Raised()
        send = AlarmsOverSocket(config.web.socket, clock).send
        self._outbox: Outbox[RaisedAlarm] = Outbox(send, self._failed, given_up_s=math.inf)
        self._thread = started(self._turn, "alarms", log, stack)
        self.log: EventLog = AlarmLog(log, self._hear, clock)
        self.answers: Answers = standing_answers(self._asked, clock)

    def standing(self) -> tuple[RaisedAlarm, ...]:
        """Return the door's alarms that stand. Thread-safe."""
        return self._raised.standing()

    def request_s(self) -> float | None:
        """Return when web asked last, monotonic; None where it never has."""
        return self._asked_s

    def _asked(self) -> tuple[RaisedAlarm, ...]:
        self._asked_s = self._clock.monotonic_s()
        return self._raised.standing()

    def _hear(self, heard: RaisedAlarm) -> None:
        self._raised.hear(heard)
        self._outbox.put(heard)
        self._thread.wake()

    def _turn(self) -> bool:
        self._outbox.turn(self._clock.monotonic_s())
        return self._outbox.waits

    def _failed(self, why: str) -> None:
        if self.wanted:
            not_sent(self._journal, why)


REST_S = 15.0
"""Pause between two turns while an item waits; the shortest after a failure is 5 s."""


def started(
    turn: Callable[[], bool], name: str, log: EventLog, stack: ExitStack, rest_s: float = REST_S
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
        self._failing = AlarmOnce(self.log, NOT_SENT)

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
    from doorctl.notices.ways import DeadMansSwitch  # HTTP costs megabytes

    try:
        switch = DeadMansSwitch(url, trusting(authority))
    except KeyFileError as err:
        not_sent(log, f"heartbeat: {err}")
        return
    stack.callback(switch.close)
    beating = Heartbeat(partial(ask_deciding, config), switch.beat, clock, log)
    started(beating.turn, "heartbeat", log, stack, BEAT_TURN_S)


def send_now(config: Config, kind: str, why: str) -> dict[str, str]:
    """Send one notice by every way, unrationed; return the reason of each that failed.

    Raises InputError: there is no such kind, or no way out is configured.
    """
    if kind not in KINDS:
        raise InputError(f"there is no such alarm; there are {', '.join(sorted(KINDS))}")
    if not config.alarms.wanted:
        raise InputError("alarms go nowhere: fill in [alarms.email] or [alarms.webhook]")
    clock = system_clock(config)
    now_s = clock.monotonic_s()
    what = notice(RaisedAlarm(kind, why, now_s), config.branch.name, clock.moment(), now_s)
    with ExitStack() as stack:
        usable, failed = sinks(config, stack)
        for name, sink in usable.items():
            try:
                sink.send(what)
            except NotSentError as err:
                failed[name] = str(err)
    return failed


def sinks(config: Config, stack: ExitStack) -> tuple[dict[str, AlarmSink], dict[str, str]]:
    """Return the usable ways out and the reason for each unusable one, both by name."""
    usable: dict[str, AlarmSink] = {}
    unusable: dict[str, str] = {}
    email, webhook = config.alarms.email, config.alarms.webhook
    if not config.alarms.wanted:
        return usable, unusable
    # Mail and HTTP cost megabytes; the door sends nothing itself, and most branches have neither.
    from doorctl.core.asking import read_password, trusting
    from doorctl.notices.ways import MailSink, WebhookSink

    def by_mail() -> AlarmSink:
        password = read_password(email.password_file) if email.user else None
        context, language = trusting(email.ca_file), config.alarms.language
        return MailSink(email, context, language=language, password=password)

    def by_webhook() -> AlarmSink:
        secret, context = read_password(webhook.secret_file), trusting(webhook.ca_file)
        posting = WebhookSink(webhook.url, secret, context)
        stack.callback(posting.close)
        return posting

    wanted = (("e-mail", email.host, by_mail), ("webhook", webhook.url, by_webhook))
    for name, build in ((name, build) for name, used, build in wanted if used):
        try:
            usable[name] = build()
        except KeyFileError as err:
            unusable[name] = str(err)
    return usable, unusable
