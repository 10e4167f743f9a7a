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

    certificate_file: Path = key(Path(), example="/etc/doorctl/web.pem")
    key_file: Path = key(Path(), example="/etc/doorctl/web.key")
    client_ca_file: Path = key(Path(), example="/etc/doorctl/clients.pem")

    @property
    def wanted(self) -> bool:
        """Whether there is a certificate to listen with."""
        return self.certificate_file != Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Which pushes of patrons are taken."""

    public_key_files: tuple[Path, ...] = key(
        (), example=["/etc/doorctl/push.pem"], allowed="a list of at most 4 paths", max_length=4
    )
    max_rows: int = key(2_000_000, within=(1, 10_000_000))
    max_bytes: int = key(536_870_912, within=(1024, 8_589_934_592))
    max_removed_percent: float = key(5.0, within=(0, 100))
    removed_floor: int = key(10, within=(0, 1_000_000))
    chunk_timeout_s: float = key(30.0, within=(0.1, 600))
    total_timeout_s: float = key(600.0, within=(0.1, 7200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the web process listens."""

    host: str = key(
        "127.0.0.1", allowed="an address or a host name", pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z"
    )
    port: int = key(8080, within=(1, 65535))
    allow_plain: bool = key(False)
    second_factor: Literal["optional", "required"] = key("optional")
    socket: Path = key(Path(), example="/run/doorctl/web.sock")
    catalogues: Path = key(
        Path("/etc/doorctl/locale"), example="/etc/doorctl/locale", allowed='a path, or ""'
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
        "", example="https://login.example/realms/kommune", allowed=_HTTPS_OR_NONE, pattern=_HTTP
    )
    token_issuer: str = key(
        "",
        example="http://adfs.example/adfs/services/trust",
        allowed='an address that begins with https:// or http://, or ""',
        pattern=_HTTP,
    )
    client_id: str = key(
        "",
        example="doorctl-oest",
        allowed='at most 256 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,256}\Z",
    )
    client_secret_file: Path = key(Path(), example="/etc/doorctl/oidc.secret")
    redirect_url: str = key(
        "",
        example="https://door-oest.example/sign-in/municipality/back",
        allowed=_HTTPS_OR_NONE,
        pattern=_HTTP,
    )
    name_claim: str = key(
        "preferred_username",
        example="upn",
        allowed="1 to 128 visible ASCII characters",
        pattern=_CLAIM,
    )
    groups_claim: str = key(
        "groups", example="roles", allowed="1 to 128 visible ASCII characters", pattern=_CLAIM
    )
    roles: tuple[RoleOfGroup, ...] = key(
        (),
        example=["manager=doorctl-manager", "staff=doorctl-staff"],
        allowed='a list of at most 50 of "ROLE=GROUP", ROLE one of viewer, staff, manager, dpo, '
        "technician",
        max_length=50,
    )
    acr: str = key(
        "",
        example="https://refeds.org/profile/mfa",
        allowed='at most 256 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,256}\Z",
    )
    max_age_min: int = key(0, within=(0, 480))
    ca_file: Path = key(Path(), example="/etc/doorctl/oidc-ca.pem")

    @property
    def wanted(self) -> bool:
        """Whether an identity provider is asked."""
        return self.issuer != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signin:
    """How long staff stay signed in, and who else than this branch identifies them."""

    idle_min: int = key(30, within=(2, 30))
    oidc: Oidc = field(default_factory=Oidc)


PatronClass = Annotated[str, Meta(pattern=r"^[!-{}~]{1,32}\Z")]
Flag = Annotated[int, Meta(ge=1, le=14)]

_HOST = r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]"
_LIBRARY = rf"^(|(https?|sip2s?)://({_HOST})(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*/?)\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lms:
    """The library system, how it is reached and how long its answer counts."""

    kind: Literal["", "fbs", "sip2"] = key("")
    url: str = key(
        "",
        example="sip2s://sip2.example:6002",
        allowed='an address that begins with https://, http://, sip2s:// or sip2://, or ""',
        pattern=_LIBRARY,
    )
    agency: str = key(
        "",
        example="DK-773000",
        allowed='at most 64 of A-Z, a-z, 0-9, ., _ and -, or ""',
        pattern=r"^[A-Za-z0-9._-]{0,64}\Z",
    )
    user: str = key(
        "",
        example="doorctl-oest",
        allowed='at most 64 visible ASCII characters without |, or ""',
        pattern=r"^[!-{}~]{0,64}\Z",
    )
    password_file: Path = key(Path(), example="/etc/doorctl/lms.password")
    terminal_password_file: Path = key(Path(), example="/etc/doorctl/lms-terminal.password")
    ca_file: Path = key(Path(), example="/etc/doorctl/lms-ca.pem")
    timeout_s: float = key(2.0, within=(0.2, 10))
    pause_min: float = key(10.0, within=(1, 1440))
    row_days: int = key(3, within=(1, 30))
    pin_days: int = key(30, within=(1, 365))
    checksum: bool = key(True)
    resident_classes: tuple[PatronClass, ...] = key(
        (),
        example=["VOKSEN", "BARN"],
        allowed="a list of classes of 1 to 32 visible ASCII characters without |",
        max_length=64,
    )
    deny_flags: tuple[Flag, ...] = key(
        (), example=[6, 7], allowed="a list of whole numbers from 1 to 14", max_length=14
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
        "",
        example="mail.example",
        allowed='an address or a host name, or ""',
        pattern=r"^[A-Za-z0-9.:_-]{0,253}\Z",
    )
    port: int = key(587, within=(1, 65535))
    security: Literal["starttls", "tls", "none"] = key("starttls")
    sender: str = key(
        "",
        example="doorctl@randers.example",
        allowed='a mail address, or ""',
        pattern=rf"^({_MAIL})?\Z",
    )
    to: tuple[MailAddress, ...] = key(
        (),
        example=["vagt@randers.example"],
        allowed="a list of at most 10 mail addresses",
        max_length=10,
    )
    user: str = key(
        "",
        example="doorctl",
        allowed='at most 128 visible ASCII characters, or ""',
        pattern=r"^[!-~]{0,128}\Z",
    )
    password_file: Path = key(Path(), example="/etc/doorctl/mail.password")
    ca_file: Path = key(Path(), example="/etc/doorctl/mail-ca.pem")

    @property
    def wanted(self) -> bool:
        """Whether alarms go by e-mail."""
        return self.host != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmWebhook:
    """Where alarms are posted; an empty address for nowhere."""

    url: str = key(
        "", example="https://alarms.example/doorctl", allowed=_HTTPS_OR_NONE, pattern=_HTTP
    )
    secret_file: Path = key(Path(), example="/etc/doorctl/webhook.secret")
    ca_file: Path = key(Path(), example="/etc/doorctl/webhook-ca.pem")

    @property
    def wanted(self) -> bool:
        """Whether alarms are posted."""
        return self.url != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How alarms leave the house, beside the journal, which has them all."""

    language: Literal["da", "en"] = key("da")
    min_interval_min: float = key(60.0, within=(1, 1440))
    most_per_hour: int = key(20, within=(2, 100))
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
        example="oest", allowed="1 to 32 of a-z, 0-9 and -", pattern=r"^[a-z0-9-]{1,32}\Z"
    )
    url: str = key(
        example="https://oest.example:8443",
        allowed="an address that begins with https:// or http://",
        pattern=r"^https?://[A-Za-z0-9.:_\[\]-]{1,253}(/[A-Za-z0-9._~/-]{0,253})?\Z",
    )
    ca_file: Path = key(Path(), example="/etc/doorctl/branches-ca.pem")
    certificate_file: Path = key(Path(), example="/etc/doorctl/sender.pem")
    key_file: Path = key(Path(), example="/etc/doorctl/sender.key")
    minimum_age: Age | None = key(None, example=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The sender's settings beside its targets."""

    source: SourceKind = key("feed")
    feed: Path = key(example="/srv/doorctl/exports")
    signing_key_file: Path = key(Path("/etc/doorctl/signing.key"))
    state_directory: Path = key(Path("/var/lib/doorctl-sync"))
    wrong_rows_share: float = key(0.005, within=(0, 0.05))
    branch_behind_h: float = key(12.0, within=(1, 72))
    workers: Workers | None = key(None, example=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSync(Sending):
    """The sender's table as it is written."""

    targets: tuple[dict[str, Any], ...] = key(
        example=[{}], allowed="at least one table [[sync.targets]]", min_length=1, max_length=1000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Sending):
    """How this machine sends patrons to branches."""

    targets: tuple[Target, ...]
