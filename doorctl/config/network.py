"""Tables about other machines: the web process, sign-in, the library system, alarms, the sender."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from doorctl.config.tables import key

_HTTP = (
    r"^(|https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~-]+)*/?)\Z"
)
_HTTPS_OR_NONE = 'an address that begins with https://, or ""'


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The certificates of the web process; all paths empty for plain HTTP."""

    certificate_file: Path = key(
        "PEM file of the web process's certificate and those above it. Empty: plain HTTP. A "
        "relative path counts from this file's directory.",
        Path(),
        example="/etc/doorctl/web.pem",
    )
    key_file: Path = key(
        "PEM file of that certificate's private key, without a password. A leading "
        "$CREDENTIALS_DIRECTORY/ is where systemd's LoadCredential= puts it.",
        Path(),
        example="/etc/doorctl/web.key",
    )
    client_ca_file: Path = key(
        "PEM file of the authority whose certificates a sender of patrons must show; browsers "
        "need none. Empty: anybody who reaches the port may push, and a push is proved by its "
        "signature alone.",
        Path(),
        example="/etc/doorctl/clients.pem",
    )

    @property
    def wanted(self) -> bool:
        """Whether there is a certificate to listen with."""
        return self.certificate_file != Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Which pushes of patrons are taken."""

    public_key_files: tuple[Path, ...] = key(
        "PEM files of the Ed25519 keys whose signature a push must bear: two while one takes over "
        "from the other. Without any, every push is refused.",
        (),
        example=["/etc/doorctl/push.pem"],
        allowed="a list of at most 4 paths",
        max_length=4,
    )
    max_rows: int = key(
        "Rows of one push. No Danish municipality has 1 000 000 inhabitants.",
        2_000_000,
        within=(1, 10_000_000),
    )
    max_bytes: int = key(
        "Bytes of one push, as sent and unpacked; a row has about 250, and so many must be free "
        "in storage.directory.",
        536_870_912,
        within=(1024, 8_589_934_592),
    )
    max_removed_percent: float = key(
        "Percent of the cards held that the pushes of seven days may shut out together without "
        "somebody's approval (removed, blocked, expired today or within a week, not resident, too "
        "young, with another PIN or none): more is likely a failed export.",
        5.0,
        within=(0, 100),
    )
    removed_floor: int = key(
        "Cards that are never too many to lose so: in a small branch 5 % is one family.",
        10,
        within=(0, 1_000_000),
    )
    chunk_timeout_s: float = key(
        "Seconds that a sender may be silent in the middle of a push.", 30.0, within=(0.1, 600)
    )
    total_timeout_s: float = key(
        "Seconds that a push may take to arrive; meanwhile no other is taken.",
        600.0,
        within=(0.1, 7200),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the web process listens."""

    host: str = key(
        "Address on which the web process listens; 127.0.0.1 is this machine only.",
        "127.0.0.1",
        allowed="an address or a host name",
        pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z",
    )
    port: int = key("TCP port on which the web process listens.", 8080, within=(1, 65535))
    allow_plain: bool = key(
        "Whether the web process may listen to other machines without web.tls, because something "
        "in front of it encrypts.",
        False,
    )
    second_factor: Literal["optional", "required"] = key(
        "Whether who signs in by a password of the branch has to have a second factor, a code of "
        "an app: who has none sets it up before anything else. The identity provider asks for its "
        "own.",
        "optional",
    )
    socket: Path = key(
        "Unix socket on which the door process asks the web process, at most 107 bytes long. "
        "Empty: web.sock in storage.directory. A relative path counts from this file's directory.",
        Path(),
        example="/run/doorctl/web.sock",
    )
    catalogues: Path = key(
        "Directory of catalogues for further languages of the pages: one file of gettext for "
        "each, named after its code (uk.po). Danish and English are always there.",
        Path("/etc/doorctl/locale"),
        example="/etc/doorctl/locale",
        allowed='a path, or ""',
    )
    tls: Tls = field(default_factory=Tls)
    push: Push = field(default_factory=Push)


RoleOfGroup = Annotated[
    str, Meta(pattern=r"^(viewer|staff|manager|dpo|technician)=[^\x00-\x1f]{1,256}\Z")
]

_CLAIM = r"^[!-~]{1,128}\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """The municipality's identity provider; an empty issuer for none."""

    issuer: str = key(
        "The identity provider's address: ADFS, Entra, Keycloak, OS2faktor. Its document is "
        "looked for at /.well-known/openid-configuration below it. Empty: none is asked.",
        "",
        example="https://login.example/realms/kommune",
        allowed=_HTTPS_OR_NONE,
        pattern=_HTTP,
    )
    token_issuer: str = key(
        "What its tokens say of who issued them, where that is not issuer, as ADFS may be set up. "
        "Empty: issuer.",
        "",
        example="http://adfs.example/adfs/services/trust",
        allowed='an address that begins with https:// or http://, or ""',
        pattern=_HTTP,
    )
    client_id: str = key(
        "The name under which the identity provider knows this branch's pages.",
        "",
        example="doorctl-oest",
        allowed='at most 256 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,256}\Z",
    )
    client_secret_file: Path = key(
        "File of one line, the secret that belongs to client_id. A leading "
        "$CREDENTIALS_DIRECTORY/ is where systemd's LoadCredential= puts it.",
        Path(),
        example="/etc/doorctl/oidc.secret",
    )
    redirect_url: str = key(
        "Where the identity provider sends the browser back to, as it is registered there: this "
        "branch's address, and /sign-in/municipality/back.",
        "",
        example="https://door-oest.example/sign-in/municipality/back",
        allowed=_HTTPS_OR_NONE,
        pattern=_HTTP,
    )
    name_claim: str = key(
        "What of the token is the login; it has to be one that never goes to somebody else.",
        "preferred_username",
        example="upn",
        allowed="1 to 128 visible ASCII characters",
        pattern=_CLAIM,
    )
    groups_claim: str = key(
        "What of the token lists the groups that somebody is in.",
        "groups",
        example="roles",
        allowed="1 to 128 visible ASCII characters",
        pattern=_CLAIM,
    )
    roles: tuple[RoleOfGroup, ...] = key(
        "Which group has which role; the first one that somebody is in counts, and who is in none "
        "is refused.",
        (),
        example=["manager=doorctl-manager", "staff=doorctl-staff"],
        allowed='a list of at most 50 of "ROLE=GROUP", ROLE one of viewer, staff, manager, dpo, '
        "technician",
        max_length=50,
    )
    acr: str = key(
        "How somebody has to have signed in there, as two factors: its token's acr, which is "
        "asked for and has to be just this. Empty: as the provider likes.",
        "",
        example="https://refeds.org/profile/mfa",
        allowed='at most 256 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,256}\Z",
    )
    max_age_min: int = key(
        "Minutes since somebody signed in there after which they do so again before they get in "
        "here; its tokens have to say auth_time. With 5, nobody changes accounts who has not just "
        "done it. 0: as the provider likes.",
        0,
        within=(0, 480),
    )
    ca_file: Path = key(
        "PEM file of the authority of its certificate. Empty: the system's own authorities.",
        Path(),
        example="/etc/doorctl/oidc-ca.pem",
    )

    @property
    def wanted(self) -> bool:
        """Whether an identity provider is asked."""
        return self.issuer != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signin:
    """How long staff stay signed in, and who else than this branch identifies them."""

    idle_min: int = key(
        "Minutes of doing nothing after which staff are signed out: fewer where patrons come near "
        "the desk. After 8 hours everybody is.",
        30,
        within=(2, 30),
    )
    oidc: Oidc = field(default_factory=Oidc)


PatronClass = Annotated[str, Meta(pattern=r"^[!-{}~]{1,32}\Z")]
Flag = Annotated[int, Meta(ge=1, le=14)]

_HOST = r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]"
_LIBRARY = rf"^(|(https?|sip2s?)://({_HOST})(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*/?)\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lms:
    """The library system, how it is reached and how long its answer counts."""

    kind: Literal["", "fbs", "sip2"] = key(
        "How the library system is asked about a card that the register can't judge: the FBS CMS "
        "API, SIP2, or not at all.",
        "",
    )
    url: str = key(
        "Where it answers: https://host/path for FBS, sip2s://host:port for SIP2 over TLS. "
        "http:// and sip2:// send card numbers and PINs in the clear, so only to this machine.",
        "",
        example="sip2s://sip2.example:6002",
        allowed='an address that begins with https://, http://, sip2s:// or sip2://, or ""',
        pattern=_LIBRARY,
    )
    agency: str = key(
        "Whom it is asked for: the agency's ISIL in FBS, the institution (AO) in SIP2, empty only "
        "where the server has none.",
        "",
        example="DK-773000",
        allowed='at most 64 of A-Z, a-z, 0-9, ., _ and -, or ""',
        pattern=r"^[A-Za-z0-9._-]{0,64}\Z",
    )
    user: str = key(
        "The account that doorctl logs in with; give each branch its own. A SIP2 server may do "
        "without.",
        "",
        example="doorctl-oest",
        allowed='at most 64 visible ASCII characters without |, or ""',
        pattern=r"^[!-{}~]{0,64}\Z",
    )
    password_file: Path = key(
        "File of one line, that account's password. A leading $CREDENTIALS_DIRECTORY/ is where "
        "systemd's LoadCredential= puts it.",
        Path(),
        example="/etc/doorctl/lms.password",
    )
    terminal_password_file: Path = key(
        "File of one line, the terminal password (AC) of SIP2. Empty: none is sent.",
        Path(),
        example="/etc/doorctl/lms-terminal.password",
    )
    ca_file: Path = key(
        "PEM file of the authority of its certificate. Empty: the system's own authorities.",
        Path(),
        example="/etc/doorctl/lms-ca.pem",
    )
    timeout_s: float = key(
        "Seconds that one question may take with all that belongs to it; the patron waits.",
        2.0,
        within=(0.2, 10),
    )
    pause_min: float = key(
        "Minutes that a card is not asked about again after a no: the library system locks a "
        "patron out after a few wrong PINs.",
        10.0,
        within=(1, 1440),
    )
    row_days: int = key("Days that a row counts which no push has brought.", 3, within=(1, 30))
    pin_days: int = key(
        "Days that a PIN is believed which was learnt so, before it is asked about again.",
        30,
        within=(1, 365),
    )
    checksum: bool = key(
        "Whether SIP2's messages carry a checksum (error detection). Without, an answer's "
        "wholeness rests on TLS alone.",
        True,
    )
    resident_classes: tuple[PatronClass, ...] = key(
        "Patron classes (PC) of SIP2 whose patrons live in the municipality. Empty: nobody counts "
        "as a resident by SIP2 alone.",
        (),
        example=["VOKSEN", "BARN"],
        allowed="a list of classes of 1 to 32 visible ASCII characters without |",
        max_length=64,
    )
    deny_flags: tuple[Flag, ...] = key(
        "Places, from 1, in SIP2's patron status whose flag counts as block S. Place 5 (card "
        "reported lost) is block O, 11 and 12 (fines, fees) are E, without being named here.",
        (),
        example=[6, 7],
        allowed="a list of whole numbers from 1 to 14",
        max_length=14,
    )

    @property
    def wanted(self) -> bool:
        """Whether there is a library system to ask."""
        return self.kind != ""


@dataclass(frozen=True, slots=True)
class Address:
    """An `Lms.url` in its parts; `port` is None where none is written."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"https", "sip2s"}


def read_address(url: str) -> Address | None:
    """Return the parts of an address that the schema accepts; None for a port beyond 65535."""
    parts = urlsplit(url)
    try:
        return Address(parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/"))
    except ValueError:
        return None


def is_this_machine(host: str) -> bool:
    """Tell whether a host is a loopback address or ``localhost``; other names may move away."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


_MAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}"
MailAddress = Annotated[str, Meta(pattern=rf"^{_MAIL}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmEmail:
    """The mail server that alarms go through; an empty host for no e-mail."""

    host: str = key(
        "Mail server, such as the municipality's own relay. Empty: no e-mail is sent.",
        "",
        example="mail.example",
        allowed='an address or a host name, or ""',
        pattern=r"^[A-Za-z0-9.:_-]{0,253}\Z",
    )
    port: int = key(
        "TCP port of the mail server: 587 with starttls, 465 with tls.", 587, within=(1, 65535)
    )
    security: Literal["starttls", "tls", "none"] = key(
        "How the way to it is encrypted. With starttls nothing is sent unless the server offers "
        "it. none only to this machine, or to a relay that takes mail without a user.",
        "starttls",
    )
    sender: str = key(
        "Address that the messages come from.",
        "",
        example="doorctl@randers.example",
        allowed='a mail address, or ""',
        pattern=rf"^({_MAIL})?\Z",
    )
    to: tuple[MailAddress, ...] = key(
        "Whom they go to: rather a duty list than one person.",
        (),
        example=["vagt@randers.example"],
        allowed="a list of at most 10 mail addresses",
        max_length=10,
    )
    user: str = key(
        "Account on the mail server. Empty: it asks for none.",
        "",
        example="doorctl",
        allowed='at most 128 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,128}\Z",
    )
    password_file: Path = key(
        "File of one line, that account's password. A leading $CREDENTIALS_DIRECTORY/ is where "
        "systemd's LoadCredential= puts it.",
        Path(),
        example="/etc/doorctl/mail.password",
    )
    ca_file: Path = key(
        "PEM file of the authority of its certificate. Empty: the system's own authorities.",
        Path(),
        example="/etc/doorctl/mail-ca.pem",
    )

    @property
    def wanted(self) -> bool:
        """Whether alarms go by e-mail."""
        return self.host != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmWebhook:
    """Where alarms are posted; an empty address for nowhere."""

    url: str = key(
        "Address that each alarm is posted to as JSON. Plain http only to this machine. Empty: "
        "none is posted.",
        "",
        example="https://alarms.example/doorctl",
        allowed=_HTTPS_OR_NONE,
        pattern=_HTTP,
    )
    secret_file: Path = key(
        "File of one line that the receiver has too: the header X-Doorctl-Signature is the body's "
        "HMAC-SHA256 by it. A leading $CREDENTIALS_DIRECTORY/ as above.",
        Path(),
        example="/etc/doorctl/webhook.secret",
    )
    ca_file: Path = key(
        "PEM file of the authority of its certificate. Empty: the system's own authorities.",
        Path(),
        example="/etc/doorctl/webhook-ca.pem",
    )

    @property
    def wanted(self) -> bool:
        """Whether alarms are posted."""
        return self.url != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How alarms leave the house, beside the journal, which has them all."""

    language: Literal["da", "en"] = key("What e-mails are written in.", "da")
    min_interval_min: float = key(
        "Minutes between two messages about the same kind of alarm; the second one tells how many "
        "there were.",
        60.0,
        within=(1, 1440),
    )
    most_per_hour: int = key(
        "Messages of all kinds in an hour, by each way; half of them are kept for what can't "
        "wait, and one tells what does.",
        20,
        within=(2, 100),
    )
    email: AlarmEmail = field(default_factory=AlarmEmail)
    webhook: AlarmWebhook = field(default_factory=AlarmWebhook)

    @property
    def wanted(self) -> bool:
        """Whether alarms leave the house at all."""
        return self.email.wanted or self.webhook.wanted


SourceKind = Literal["feed"]
Workers = Annotated[int, Meta(ge=1, le=256)]
Age = Annotated[int, Meta(ge=0, le=99)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A branch that patrons are pushed to."""

    branch: str = key(
        "The branch's own branch.id.",
        example="oest",
        allowed="1 to 32 of a-z, 0-9 and -",
        pattern=r"^[a-z0-9-]{1,32}\Z",
    )
    url: str = key(
        "Where the branch's web process answers. Plain http only to this machine or through "
        "something that encrypts.",
        example="https://oest.example:8443",
        allowed="an address that begins with https:// or http://",
        pattern=r"^https?://[A-Za-z0-9.:_\[\]-]{1,253}(/[A-Za-z0-9._~/-]{0,253})?\Z",
    )
    ca_file: Path = key(
        "PEM file of the authority that the branch's certificate is of. Empty: the system's own "
        "authorities.",
        Path(),
        example="/etc/doorctl/branches-ca.pem",
    )
    certificate_file: Path = key(
        "PEM file of the certificate that the branch asks for (its web.tls.client_ca_file).",
        Path(),
        example="/etc/doorctl/sender.pem",
    )
    key_file: Path = key(
        "PEM file of that certificate's private key, without a password.",
        Path(),
        example="/etc/doorctl/sender.key",
    )
    minimum_age: Age | None = key(
        "The branch's own policy.minimum_age, in years. Absent: this file's.", None, example=15
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The sender's settings beside its targets."""

    source: SourceKind = key("Where patrons come from: the library system's exports.", "feed")
    feed: Path = key(
        "An export (.ndjson or .csv), or the directory that exports fall into: the last name that "
        "ends in full counts, then each that ends in changes. A relative path counts from this "
        "file's directory.",
        example="/srv/doorctl/exports",
    )
    signing_key_file: Path = key(
        "File of the private key that pushes are signed with (made by doorctl sync init; the "
        "public one beside it, .pub, goes to every branch). $CREDENTIALS_DIRECTORY/ as for "
        "secrets.installation_key_file.",
        Path("/etc/doorctl/signing.key"),
    )
    state_directory: Path = key(
        "Directory of outbox.db: what was sealed and sent. Without it everything is sealed and "
        "sent once more.",
        Path("/var/lib/doorctl-sync"),
    )
    wrong_rows_share: float = key(
        "Share of the export's rows that may be wrong, and 20 in any case: they are set aside and "
        "listed in set-aside.txt beside outbox.db. 0: one wrong row stops the run.",
        0.005,
        within=(0, 0.05),
    )
    branch_behind_h: float = key(
        "Hours that a branch may not be up to date before [alarms] tells of it.",
        12.0,
        within=(1, 72),
    )
    workers: Workers | None = key(
        "Threads that seal at once. Absent: one for each core.", None, example=2
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSync(Sending):
    """The sender's table as it is written."""

    targets: tuple[dict[str, Any], ...] = key(
        "The branches, each with a table of its own; they share this file's installation key.",
        example=[{}],
        allowed="at least one table [[sync.targets]]",
        min_length=1,
        max_length=1000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Sending):
    """How this machine sends patrons to branches."""

    targets: tuple[Target, ...]
