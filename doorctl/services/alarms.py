"""The ways by which alarms leave the house, and a notice sent by hand."""

from __future__ import annotations

from contextlib import suppress

from doorctl.config import Config
from doorctl.core.alarms import (
    ENDS,
    KINDS,
    NOT_SENT,
    RaisedAlarm,
)
from doorctl.core.errors import DoorctlError, InputError, KeyFileError
from doorctl.core.ports import AlarmSink, NotSentError
from doorctl.lookup.configured import system_clock
from doorctl.notices.sending import notice
from doorctl.rpc.alarms import send_alarm


def send_now(config: Config, kind: str, why: str) -> dict[str, str]:
    """Send one notice by every way, unrationed; return the reason of each that failed.

    Where none did, web hears that alarms are sent again.

    Raises InputError: there is no such kind, or no way out is configured.
    """
    if kind not in KINDS:
        raise InputError(f"there is no such alarm; there are {', '.join(sorted(KINDS))}")
    if not config.alarms.wanted:
        raise InputError("alarms go nowhere: fill in [alarms.email] or [alarms.webhook]")
    clock = system_clock(config)
    now_s = clock.monotonic_s()
    what = notice(RaisedAlarm(kind, why, now_s), config.branch.name, clock.moment(), now_s)
    usable, failed = sinks(config)
    for name, sink in usable.items():
        try:
            sink.send(what)
        except NotSentError as err:
            failed[name] = str(err)
    if not failed:
        # Web may not run, or has sent nothing since it could not.
        with suppress(DoorctlError):
            send_alarm(config.web.socket, clock, RaisedAlarm(ENDS[NOT_SENT], "", now_s))
    return failed


def sinks(config: Config) -> tuple[dict[str, AlarmSink], dict[str, str]]:
    """Return the usable ways out and the reason for each unusable one, both by name."""
    usable: dict[str, AlarmSink] = {}
    unusable: dict[str, str] = {}
    email, webhook = config.alarms.email, config.alarms.webhook
    if not config.alarms.wanted:
        return usable, unusable
    # Mail and HTTP cost megabytes; the door sends nothing itself, and most branches have neither.
    from doorctl.core.asking import read_password, trusting
    from doorctl.notices.mail import MailSink
    from doorctl.notices.webhook import WebhookSink

    def by_mail() -> AlarmSink:
        password = read_password(email.password_file) if email.user else None
        context, language = trusting(email.ca_file), config.alarms.language
        return MailSink(email, context, language=language, password=password)

    def by_webhook() -> AlarmSink:
        secret, context = read_password(webhook.secret_file), trusting(webhook.ca_file)
        return WebhookSink(webhook.url, secret, context)

    wanted = (("e-mail", email.host, by_mail), ("webhook", webhook.url, by_webhook))
    for name, build in ((name, build) for name, used, build in wanted if used):
        try:
            usable[name] = build()
        except KeyFileError as err:
            unusable[name] = str(err)
    return usable, unusable
