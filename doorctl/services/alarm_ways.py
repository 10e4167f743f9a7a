"""Builds the ways by which alarms leave the web process: mail and webhook."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from doorctl.config import Config
from doorctl.core.alarms import KINDS, Due, RaisedAlarm, Ration
from doorctl.core.errors import InputError, KeyFileError
from doorctl.core.masked import Masked
from doorctl.core.ports import AlarmSink, Clock, EventLog, NotSentError
from doorctl.notices.sending import Notifier, Notifiers, notice
from doorctl.notices.ways import MailRoute, MailSink, WebhookSink
from doorctl.ops.threads import Turns
from doorctl.services.app import system_clock
from doorctl.services.door_alarms import started
from doorctl.sources.asking import read_password, trusting


@dataclass(frozen=True, slots=True)
class Way:
    """A way out and its thread; implements `doorctl.services.alarms.Way`."""

    notifier: Notifier
    thread: Turns

    def hear(self, heard: RaisedAlarm) -> None:
        """Take note of an alarm."""
        self.notifier.hear(heard)
        self.thread.wake()

    def silence(self, kind: str) -> None:
        """Send no more of a kind that was acknowledged."""
        self.notifier.silence(kind)

    def listen(self, kind: str) -> None:
        """Send a kind again."""
        self.notifier.listen(kind)


def open_ways(
    config: Config,
    log: EventLog,
    clock: Clock,
    stack: ExitStack,
    journal: EventLog,
    *,
    kept: Notifiers,
) -> tuple[list[Way], dict[str, str]]:
    """Return the usable ways out, each on its thread, and the reason for each unusable one.

    `log` gets an alarm where a way begins to fail, so that the others send it; `journal` gets our
    own faults, which are sent nowhere. A new notifier is added to `kept`.
    """
    ration = Ration(config.alarms.min_interval_min * 60, config.alarms.most_per_hour)
    usable, unusable = sinks(config, stack)
    ways = []
    for name, sink in usable.items():
        new = Notifier(config.branch.name, sink, ration, clock=clock, log=log, name=name)
        notifier = kept.setdefault(name, new)
        notifier.renew(sink, ration, clock=clock, log=log)
        ways.append(Way(notifier, started(notifier.turn, name, journal, stack)))
    return ways, unusable


def send_now(config: Config, kind: str, why: str) -> dict[str, str]:
    """Send one notice by every way, unrationed; return the reason of each that failed.

    Raises:
        InputError: there is no such kind, or no way out is configured.
    """
    if kind not in KINDS:
        raise InputError(f"there is no such alarm; there are {', '.join(sorted(KINDS))}")
    if not config.alarms.wanted:
        raise InputError("alarms go nowhere: fill in [alarms.email] or [alarms.webhook]")
    clock = system_clock(config)
    now_s = clock.monotonic_s()
    what = notice(Due(RaisedAlarm(kind, why, now_s), 1), config.branch.name, clock.moment(), now_s)
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
    for name, wanted, build in (
        ("e-mail", config.alarms.email.wanted, _mail),
        ("webhook", config.alarms.webhook.wanted, _webhook),
    ):
        if wanted:
            try:
                usable[name] = build(config, stack)
            except KeyFileError as err:
                unusable[name] = str(err)
    return usable, unusable


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
