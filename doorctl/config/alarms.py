"""Tables about alarms: whom they are sent to, how, and how often. None is sent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from doorctl.config.description import key
from doorctl.config.lms import is_this_machine, read_address
from doorctl.config.wording import shown
from doorctl.errors import Problem

Values = Mapping[str, Any]

_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}"
MailAddress = Annotated[str, Meta(pattern=rf"^{_ADDRESS}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmEmail:
    """The mail server that alarms go through; an empty host for no e-mail."""

    host: Annotated[
        str,
        key(
            "Mail server, such as the municipality's own relay. Empty: no e-mail is sent.",
            "mail.example",
            'an address or a host name, or ""',
            pattern=r"^[A-Za-z0-9.:_-]{0,253}\Z",
        ),
    ] = ""
    port: Annotated[
        int,
        key("TCP port of the mail server: 587 with starttls, 465 with tls.", ge=1, le=65535),
    ] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"],
        key(
            "How the way to it is encrypted. With starttls nothing is sent unless the server "
            "offers it. none only to this machine, or to a relay that takes mail without a user."
        ),
    ] = "starttls"
    sender: Annotated[
        str,
        key(
            "Address that the messages come from.",
            "doorctl@randers.example",
            'a mail address, or ""',
            pattern=rf"^({_ADDRESS})?\Z",
        ),
    ] = ""
    to: Annotated[
        tuple[MailAddress, ...],
        key(
            "Whom they go to: rather a duty list than one person.",
            ["vagt@randers.example"],
            "a list of at most 10 mail addresses",
            max_length=10,
        ),
    ] = ()
    user: Annotated[
        str,
        key(
            "Account on the mail server. Empty: it asks for none.",
            "doorctl",
            'at most 128 visible ASCII characters, or ""',
            pattern=r"^[!-~]{0,128}\Z",
        ),
    ] = ""
    password_file: Annotated[
        Path,
        key(
            "File of one line, that account's password. A leading $CREDENTIALS_DIRECTORY/ is where "
            "systemd's LoadCredential= puts it.",
            "/etc/doorctl/mail.password",
            'a path, or ""',
        ),
    ] = Path()
    ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority of its certificate. Empty: the system's own authorities.",
            "/etc/doorctl/mail-ca.pem",
            'a path, or ""',
        ),
    ] = Path()

    @property
    def wanted(self) -> bool:
        """Whether alarms go by e-mail."""
        return self.host != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmWebhook:
    """Where alarms are posted; an empty address for nowhere."""

    url: Annotated[
        str,
        key(
            "Address that each alarm is posted to as JSON. Plain http only to this machine. "
            "Empty: none is posted.",
            "https://alarms.example/doorctl",
            'an address that begins with https://, or ""',
            pattern=(
                r"^(|https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
                r"(/[A-Za-z0-9._~-]+)*/?)\Z"
            ),
        ),
    ] = ""
    secret_file: Annotated[
        Path,
        key(
            "File of one line that the receiver has too: the header X-Doorctl-Signature is the "
            "body's HMAC-SHA256 by it. A leading $CREDENTIALS_DIRECTORY/ as above.",
            "/etc/doorctl/webhook.secret",
            'a path, or ""',
        ),
    ] = Path()
    ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority of its certificate. Empty: the system's own authorities.",
            "/etc/doorctl/webhook-ca.pem",
            'a path, or ""',
        ),
    ] = Path()

    @property
    def wanted(self) -> bool:
        """Whether alarms are posted."""
        return self.url != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How alarms leave the house, beside the journal, which has them all."""

    language: Annotated[Literal["da", "en"], key("What e-mails are written in.")] = "da"
    min_interval_min: Annotated[
        float,
        key(
            "Minutes between two messages about the same kind of alarm; the second one tells how "
            "many there were.",
            ge=1,
            le=1440,
        ),
    ] = 60.0
    most_per_hour: Annotated[
        int,
        key(
            "Messages of all kinds in an hour, by each way; half of them are kept for what can't "
            "wait, and one tells what does.",
            ge=2,
            le=100,
        ),
    ] = 20
    email: AlarmEmail = field(default_factory=AlarmEmail)
    webhook: AlarmWebhook = field(default_factory=AlarmWebhook)

    @property
    def wanted(self) -> bool:
        """Whether there is any way out."""
        return self.email.wanted or self.webhook.wanted


NONE = ("", Path(), ())
EMAIL = ("host", "sender", "to")
ACCOUNT = ("user", "password_file")
WEBHOOK = ("url", "secret_file")


def alarm_ways_are_whole(values: Values) -> Iterator[Problem]:
    """What belongs together is there together: mail server and addresses, secret and address."""
    yield from _together(values, "alarms.email", EMAIL)
    yield from _together(values, "alarms.email", ACCOUNT)
    yield from _together(values, "alarms.webhook", WEBHOOK)


def mail_is_encrypted(values: Values) -> Iterator[Problem]:
    """A password is never sent in the clear to another machine."""
    host, security = values.get("alarms.email.host"), values.get("alarms.email.security")
    user = values.get("alarms.email.user")
    if security == "none" and host and user and not is_this_machine(host):
        yield Problem(
            "alarms.email.security",
            'found "none" beside a user, whose password would go in the clear; '
            'give "starttls" or "tls"',
        )


def webhook_is_encrypted(values: Values) -> Iterator[Problem]:
    """Alarms are posted to another machine encrypted only."""
    url = values.get("alarms.webhook.url")
    if not url:
        return
    address = read_address(url)
    if address is None or address.port == 0:
        yield Problem("alarms.webhook.url", f"found {shown(url)}, whose port is none; mend it")
    elif address.scheme == "http" and not is_this_machine(address.host):
        yield Problem(
            "alarms.webhook.url",
            f"found {shown(url)}, which tells another machine of alarms in the clear; "
            "give https://",
        )


ALARM_RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    alarm_ways_are_whole,
    mail_is_encrypted,
    webhook_is_encrypted,
)


def _together(values: Values, table: str, leaves: tuple[str, ...]) -> Iterator[Problem]:
    found = {leaf: values.get(f"{table}.{leaf}") for leaf in leaves}
    there = [leaf for leaf, value in found.items() if value is not None and value not in NONE]
    for leaf, value in found.items():
        if there and value in NONE:
            yield Problem(f"{table}.{leaf}", f"missing beside {table}.{there[0]}; give it")
