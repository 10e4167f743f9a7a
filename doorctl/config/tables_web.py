"""Tables about the web process: where it listens, its certificates, which pushes it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from doorctl.config.lms import is_this_machine, read_address
from doorctl.config.wording import key, shown
from doorctl.core.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The certificates of the web process; all paths empty for plain HTTP."""

    certificate_file: Annotated[
        Path,
        key(
            "PEM file of the web process's certificate and those above it. Empty: plain HTTP. A "
            "relative path counts from this file's directory.",
            "/etc/doorctl/web.pem",
            'a path, or ""',
        ),
    ] = Path()
    key_file: Annotated[
        Path,
        key(
            "PEM file of that certificate's private key, without a password. A leading "
            "$CREDENTIALS_DIRECTORY/ is where systemd's LoadCredential= puts it.",
            "/etc/doorctl/web.key",
            'a path, or ""',
        ),
    ] = Path()
    client_ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority whose certificates a sender of patrons must show; browsers "
            "need none. Empty: anybody who reaches the port may push, and a push is proved by its "
            "signature alone.",
            "/etc/doorctl/clients.pem",
            'a path, or ""',
        ),
    ] = Path()

    @property
    def wanted(self) -> bool:
        """Whether there is a certificate to listen with."""
        return self.certificate_file != Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Which pushes of patrons are taken."""

    public_key_files: Annotated[
        tuple[Path, ...],
        key(
            "PEM files of the Ed25519 keys whose signature a push must bear: two while one takes "
            "over from the other. Without any, every push is refused.",
            ["/etc/doorctl/push.pem"],
            "a list of at most 4 paths",
            max_length=4,
        ),
    ] = ()
    max_rows: Annotated[
        int,
        key(
            "Rows of one push. No Danish municipality has 1 000 000 inhabitants.",
            ge=1,
            le=10_000_000,
        ),
    ] = 2_000_000
    max_bytes: Annotated[
        int,
        key(
            "Bytes of one push, as sent and unpacked; a row has about 250, and so many must be "
            "free in storage.directory.",
            ge=1024,
            le=8_589_934_592,
        ),
    ] = 536_870_912
    max_removed_percent: Annotated[
        float,
        key(
            "Percent of the cards held that the pushes of seven days may shut out together without "
            "somebody's approval (removed, blocked, expired today or within a week, not resident, "
            "too young, with another PIN or none): more is likely a failed export.",
            ge=0,
            le=100,
        ),
    ] = 5.0
    removed_floor: Annotated[
        int,
        key(
            "Cards that are never too many to lose so: in a small branch 5 % is one family.",
            ge=0,
            le=1_000_000,
        ),
    ] = 10
    chunk_timeout_s: Annotated[
        float,
        key(
            "Seconds that a sender may be silent in the middle of a push.",
            ge=0.1,
            le=600,
        ),
    ] = 30.0
    total_timeout_s: Annotated[
        float,
        key(
            "Seconds that a push may take to arrive; meanwhile no other is taken.",
            ge=0.1,
            le=7200,
        ),
    ] = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the web process listens."""

    host: Annotated[
        str,
        key(
            "Address on which the web process listens; 127.0.0.1 is this machine only.",
            allowed="an address or a host name",
            pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, key("TCP port on which the web process listens.", ge=1, le=65535)] = 8080
    allow_plain: Annotated[
        bool,
        key(
            "Whether the web process may listen to other machines without web.tls, because "
            "something in front of it encrypts."
        ),
    ] = False
    second_factor: Annotated[
        Literal["optional", "required"],
        key(
            "Whether who signs in by a password of the branch has to have a second factor, a code "
            "of an app: who has none sets it up before anything else. The identity provider asks "
            "for its own."
        ),
    ] = "optional"
    socket: Annotated[
        Path,
        key(
            "Unix socket on which the door process asks the web process, at most 107 bytes long. "
            "Empty: web.sock in storage.directory. A relative path counts from this file's "
            "directory.",
            "/run/doorctl/web.sock",
            'a path, or ""',
        ),
    ] = Path()
    catalogues: Annotated[
        Path,
        key(
            "Directory of catalogues for further languages of the pages: one file of gettext for "
            "each, named after its code (uk.po). Danish and English are always there.",
            "/etc/doorctl/locale",
            'a path, or ""',
        ),
    ] = Path("/etc/doorctl/locale")
    tls: Tls = field(default_factory=Tls)
    push: Push = field(default_factory=Push)


# No alarm is sent by default.

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
        """Whether alarms leave the house at all."""
        return self.email.wanted or self.webhook.wanted


NONE = ("", Path(), ())
EMAIL = ("host", "sender", "to")
ACCOUNT = ("user", "password_file")
WEBHOOK = ("url", "secret_file")


def alarm_ways_are_whole(values: Values) -> Iterator[Problem]:
    """Keys that need each other are all there: mail server and addresses, secret and address."""
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
