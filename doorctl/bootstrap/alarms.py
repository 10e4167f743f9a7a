"""Builds the second half of an alarm's way: from the web process out of the house."""

from __future__ import annotations

from contextlib import ExitStack

from doorctl.alarms import KINDS
from doorctl.bootstrap.alarm_road import not_sent, started
from doorctl.bootstrap.rules import system_clock
from doorctl.config import Config
from doorctl.errors import InputError, KeyFileError
from doorctl.masked import Masked
from doorctl.notices.desk import DoorWatch, NoticeDesk, notice
from doorctl.notices.rationing import Due, Heard, Ration
from doorctl.ops.alarm_log import AlarmLog, TurningThread
from doorctl.ports import AlarmSink, Clock, EventLog, NotSentError
from doorctl.sources.trust import read_password, trusting
from doorctl.transports.alarms import alarm_answers
from doorctl.transports.control import Answers, Question, ask
from doorctl.transports.smtp import MailRoute, MailSink
from doorctl.transports.webhook import WebhookSink

WATCH_S = 20.0
"""Between two questions whether the door process is there."""

WATCH_LIMIT_S = 2.0


def webs_alarms(
    config: Config, log: EventLog, clock: Clock, stack: ExitStack
) -> tuple[EventLog, Answers]:
    """Return the log for the web process, and what it answers to the door about alarms.

    Each way out has a thread of its own, so that a slow one delays no other. Where there is none,
    the log is the journal's and there are no answers. A way whose password, secret or authority
    can't be read is left out and told as ``alarm_not_sent``, by the other way too.
    """
    if not config.alarms.wanted:
        return log, {}
    ways: list[tuple[NoticeDesk, TurningThread]] = []

    def hear(heard: Heard) -> None:
        for desk, thread in ways:
            desk.hear(heard)
            thread.wake()

    heard_log = AlarmLog(log, hear, clock)
    ration = Ration(config.alarms.min_interval_min * 60, config.alarms.most_per_hour)
    found, unusable = sinks(config, stack)
    for name, sink in found.items():
        desk = NoticeDesk(config.branch.name, sink, ration, clock=clock, log=heard_log, name=name)
        ways.append((desk, started(desk.turn, name, log, stack)))
    for name, why in unusable.items():
        not_sent(heard_log, f"{name}: {why}")
    question = Question("status")
    watch = DoorWatch(
        lambda: ask(config.control.socket, question, timeout_s=WATCH_LIMIT_S), heard_log
    )
    started(watch.turn, "watch", log, stack, WATCH_S)
    return heard_log, alarm_answers(hear, clock)


def send_now(config: Config, kind: str, why: str) -> dict[str, str]:
    """Send one notice by every way, unrationed; return why each that failed did.

    Raises:
        InputError: there is no such kind, or no way out is configured.
    """
    if kind not in KINDS:
        raise InputError(f"there is no such alarm; there are {', '.join(sorted(KINDS))}")
    if not config.alarms.wanted:
        raise InputError("alarms go nowhere: fill in [alarms.email] or [alarms.webhook]")
    clock = system_clock(config)
    now_s = clock.monotonic_s()
    what = notice(Due(Heard(kind, why, now_s), 1), config.branch.name, clock.moment(), now_s)
    with ExitStack() as stack:
        found, failed = sinks(config, stack)
        for name, sink in found.items():
            try:
                sink.send(what)
            except NotSentError as err:
                failed[name] = str(err)
    return failed


def sinks(config: Config, stack: ExitStack) -> tuple[dict[str, AlarmSink], dict[str, str]]:
    """Return every way out that can be used, and why each other one can't, both by name.

    Args:
        config: says which are wanted.
        stack: closes them.
    """
    found: dict[str, AlarmSink] = {}
    unusable: dict[str, str] = {}
    for name, wanted, build in (
        ("e-mail", config.alarms.email.wanted, _mail),
        ("webhook", config.alarms.webhook.wanted, _webhook),
    ):
        if wanted:
            try:
                found[name] = build(config, stack)
            except KeyFileError as err:
                unusable[name] = str(err)
    return found, unusable


def _mail(config: Config, _stack: ExitStack) -> AlarmSink:
    return MailSink(_route(config), trusting(config.alarms.email.ca_file))


def _webhook(config: Config, stack: ExitStack) -> AlarmSink:
    webhook = config.alarms.webhook
    secret, context = read_password(webhook.secret_file), trusting(webhook.ca_file)
    posting = WebhookSink(webhook.url, secret, context)
    stack.callback(posting.close)
    return posting


def _route(config: Config) -> MailRoute:
    email = config.alarms.email
    password: Masked[str] | None = read_password(email.password_file) if email.user else None
    return MailRoute(
        host=email.host,
        port=email.port,
        security=email.security,
        sender=email.sender,
        to=email.to,
        language=config.alarms.language,
        user=email.user,
        password=password,
    )
