"""The tables of the configuration, and how its values are shown.

First those of the installation: its branch, files, devices and door. Then those about other
machines: the web process, sign-in, the library system, alarms, the sender.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from msgspec import Meta

from doorctl.access import policy
from doorctl.access.policy import WeakPin
from doorctl.cards.keys import CONTROLS, USUAL_CLEAR, USUAL_ENTER, KeyBytes, key_bytes

REQUIRED: Final = dataclasses.MISSING

LONGEST_SHOWN = 70
"""Characters of a value that a message repeats: enough to find it, and one line stays one line."""

TOML_BITS = 64
"""TOML's own whole numbers; Python refuses to print very much longer ones."""

FIRST_LONG = 0x10000
"""The first code point that needs TOML's long escape."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")

OLD_SHARE = 1 / 3
"""Share of `policy.max_cache_age_h` after which the register is old: with the usual 72 h a day, in
which staff can act."""


def shown(value: object) -> str:
    """Return a value as it would be written in TOML, on one line, cut off where it is long."""
    text = _toml(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def shown_key(*parts: str) -> str:
    """Return a dotted key, with quotes where TOML needs them."""
    return ".".join(part if _BARE.fullmatch(part) else shown(part) for part in parts)


def _toml(value: object) -> str:
    match value:
        case str():
            return f'"{"".join(_escaped(character) for character in value[: LONGEST_SHOWN + 1])}"'
        case Path():
            return _toml("" if value == Path() else str(value))
        case list() | tuple():
            items = value[:LONGEST_SHOWN]
            inner = ("a list" if isinstance(item, list) else _toml(item) for item in items)
            return f"[{', '.join(inner)}]"
        case dict():
            return "a table"
        case Enum():
            return _toml(value.value)
    return _plain(value)


def _plain(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > TOML_BITS:
            return "a huge number"
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < FIRST_LONG else f"\\U{code:08x}"


def key(
    default: Any = REQUIRED,
    *,
    example: object = None,
    allowed: str | None = None,
    within: tuple[float, float] | None = None,
    **bounds: Any,
) -> Any:
    """Describe one key, as a field of its table's dataclass; ``config/*.toml`` says what it means.

    Args:
        default: its value where it isn't written; `REQUIRED` for a key that has to be.
        example: what a message suggests where the default is no help.
        allowed: the allowed values in words, where the type can't say it.
        within: the lowest and the highest number.
        bounds: msgspec's own: ``gt``, ``le``, ``pattern``, ``max_length``.
    """
    examples = None if example is None else [example]
    extra = None if allowed is None else {"allowed": allowed}
    if within is not None:
        bounds["ge"], bounds["le"] = within
    meta = Meta(examples=examples, extra=extra, **bounds)
    return dataclasses.field(default=default, metadata={"meta": meta})


def phone_key(example: str) -> Any:
    """Describe a key for a telephone number, which may be left empty."""
    allowed = 'at most 32 digits, spaces, +, -, ( and ), or "" for none'
    return key("", example=example, allowed=allowed, pattern=r"^[0-9+ ()-]{0,32}\Z")


def text_key(example: str, most: int) -> Any:
    """Describe a key for a line of text, which may be left empty."""
    allowed = f'text of at most {most} characters, or "" for none'
    return key("", example=example, allowed=allowed, pattern=rf"^[^\x00-\x1f]{{0,{most}}}\Z")


ID: Final = "[a-z0-9-]{1,32}"
"""A branch's or a machine's short name, as it stands in subjects, files and certificates."""


def id_key(default: Any = REQUIRED) -> Any:
    """Describe a key for a short name, such as a branch's."""
    allowed = "1 to 32 of a-z, 0-9 and -"
    return key(default, example="oest", allowed=allowed, pattern=rf"^{ID}\Z")


def address_key(example: str, allowed: str = "https://") -> Any:
    """Describe a key for a web address, which may be left empty."""
    words = f'an address that begins with {allowed}, or ""'
    return key("", example=example, allowed=words, pattern=_HTTP)


def visible_key(example: str, default: str = "", most: int = 256) -> Any:
    """Describe a key for visible ASCII characters, which is empty by default or never."""
    least, count, none = (1, f"1 to {most}", "") if default else (0, f"at most {most}", ', or ""')
    allowed, pattern = f"{count} visible ASCII characters{none}", rf"^[!-~]{{{least},{most}}}\Z"
    return key(default, example=example, allowed=allowed, pattern=pattern)


def list_key(of_what: str, most: int, example: list[Any], default: Any = ()) -> Any:
    """Describe a key for a list of so many, which may be left empty."""
    allowed = f"a list of at most {most} {of_what}"
    return key(default, example=example, allowed=allowed, max_length=most)


Language = Literal["da", "en"]
Trust = Literal["auto", "signed", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Which library this is."""

    name: str = key(
        example="Randers Bibliotek, Øst", allowed="text of at most 80 characters", max_length=80
    )
    id: str = id_key()
    isil: str = key(
        "",
        example="DK-773000",
        allowed='an ISIL, or "" for none',
        pattern=r"^([A-Z]{1,4}-[A-Za-z0-9:/-]{1,11})?\Z",
    )
    time_zone: str = key("Europe/Copenhagen", allowed="the name of a time zone", max_length=64)
    language: Language = key("da")
    phone: str = phone_key("12 34 56 78")
    it_phone: str = phone_key("89 15 45 00")
    dpo: str = key(
        "",
        example="dpo@randers.dk, 89 15 15 15",
        allowed='text of at most 200 characters, or "" for none',
        max_length=200,
    )


Processor = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{1,120}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Who answers for the data, and by which law: what letter, notice and record say of it."""

    name: str = text_key("Randers Kommune, CVR 29 18 96 68", 120)
    address: str = text_key("Laksetorvet 1, 8900 Randers C", 120)
    mail: str = text_key("bibliotek@randers.dk", 120)
    phone: str = phone_key("89 15 15 15")
    processors: tuple[Processor, ...] = list_key(
        "texts of 1 to 120 characters", 20, ["Driftsfirmaet A/S, drift af Pi'en"]
    )
    basis: tuple[Literal["a", "b", "c", "d", "e", "f"], ...] = key(
        ("c", "e"),
        example=["c", "e"],
        allowed="a list of 1 to 6 of a to f, the letters of article 6(1)",
        min_length=1,
        max_length=6,
    )

    @property
    def lacking(self) -> tuple[str, ...]:
        """The keys that are empty, and which the law wants told."""
        return tuple(
            leaf for leaf in ("name", "address", "mail", "phone") if not getattr(self, leaf)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the databases are."""

    directory: Path = key(Path("/var/lib/doorctl"))
    door_directory: Path = key(Path(), example="/var/lib/doorctl-door")

    @property
    def patrons_db(self) -> Path:
        """The patron cache."""
        return self.directory / "patrons.db"

    @property
    def visits_db(self) -> Path:
        """The door log."""
        return self.door_directory / "visits.db"

    @property
    def branch_db(self) -> Path:
        """Bans, passes, hours, accounts and the audit log."""
        return self.directory / "branch.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where the secrets are; none stands in the configuration itself."""

    installation_key_file: Path = key(Path("/etc/doorctl/installation.key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The cost of stretching an identifier (Argon2id, one lane)."""

    memory_kib: int = key(19456, within=(8, 1_048_576))
    iterations: int = key(2, within=(1, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """The door log."""

    retention_days: int = key(30, within=(1, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrust:
    """When the wall clock is believed."""

    trust: Trust = key("auto")


Deed = Literal[
    "open",
    "trust_clock",
    "unlock",
    "selftest",
    "purge",
    "hold_add",
    "hold_lift",
    "key",
    "keys",
    "pin_check",
    "new_code",
    "subject_erase_visits",
]
DEEDS: tuple[Deed, ...] = get_args(Deed)
"""All actions that the door takes on request; web may ask its questions in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How the door process is asked."""

    socket: Path = key(Path(), example="/run/doorctl/door.sock")
    kept_from_web: tuple[Deed, ...] = key(
        (), example=["open"], allowed=f"a list of some of {', '.join(DEEDS)}", max_length=len(DEEDS)
    )


Tag = Annotated[str, Meta(pattern=r"^\S(.{0,30}\S)?\Z")]
BlockCode = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]

PatronTag = Annotated[str, Meta(pattern=r"\A(?! )[^\x00-\x1f\x7f]{1,64}(?<! )\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(policy.Policy):
    """Who may come in: what the door decides by, with the bounds of each key."""

    require_pin: bool = key(True)
    pin_length: int = key(4, within=(4, 12))
    require_resident: bool = key(True)
    minimum_age: int = key(14, within=(0, 99))
    deny_blocks: tuple[BlockCode, ...] = key(
        ("O", "D", "S", "U", "F"), allowed="a list of codes of 1 to 8 of A-Z and 0-9", max_length=64
    )
    deny_other_blocks: bool = key(True)
    companions_max: int = key(0, within=(0, 9))
    duress: bool = key(False)
    weak_pin: WeakPin = key(WeakPin.WARN)
    code_entry: bool = key(False)
    first_card: tuple[Tag, ...] = key(
        (), allowed="a list of names of 1 to 32 characters", max_length=16
    )
    require_tags: tuple[PatronTag, ...] = list_key("tags of 1 to 64 characters", 16, ["agreement"])
    age_exception_tags: tuple[PatronTag, ...] = list_key(
        "tags of 1 to 64 characters", 16, ["parental_consent"]
    )
    max_cache_age_h: float = key(72.0, gt=0, le=8760)

    @property
    def flags_weak(self) -> bool:
        """Whether rows that are sealed say which PINs are too easy to guess."""
        return self.weak_pin is not WeakPin.ALLOW


LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The screen at the door, which shows the web process's page /panel."""

    keypad: bool = key(False)
    elsewhere: bool = key(False)
    languages: tuple[LanguageCode, ...] = list_key('codes such as "en"', 8, ["da", "en"])
    speech: bool = key(False)
    message_s: float = key(25.0, within=(2, 120))
    countdown_min: int = key(15, within=(0, 120))
    idle_s: int = key(30, within=(5, 600))
    help_button: bool = key(False)


LineKind = Literal["serial", "usb", "osdp"]
Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]
DataBits = Literal[7, 8]
Parity = Literal["none", "even", "odd"]
StopBits = Literal[1, 2]
Factory = Literal["lgpio", "mock"]
BcmPin = Annotated[int, Meta(ge=0, le=27)]
KeyByte = Annotated[str, Meta(pattern=rf"^([!-~]|{'|'.join(CONTROLS)}|0x[0-9A-Fa-f]{{2}})\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The card reader's line: what kind it is of, and what serial lines have of their own."""

    kind: LineKind = key("serial")
    port: str = key(
        example="/dev/serial/by-id/usb-CARD_READER-if00-port0",
        allowed="the path of a device",
        max_length=255,
    )
    baud: Baud = key(9600)
    data_bits: DataBits = key(8)
    parity: Parity = key("none")
    stop_bits: StopBits = key(1)


def keypad_is_wired(kind: str, port: str) -> bool:
    """Tell whether a keypad has a line of its own, and its keys do not come on the reader's."""
    return bool(port) or kind == "osdp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypad(Reader):
    """The PIN pad's line and how long a patron may take."""

    port: str = key(
        "",
        example="/dev/serial/by-id/usb-KEYPAD-if00-port0",
        allowed='the path of a device, or ""',
        max_length=255,
    )
    digit_timeout_s: float = key(20.0, within=(1, 60))
    total_timeout_s: float = key(60.0, within=(1, 300))
    clear: tuple[KeyByte, ...] = list_key(
        "visible characters, names such as ESC, and bytes such as 0x1b", 16, ["BS"], USUAL_CLEAR
    )
    enter: tuple[KeyByte, ...] = list_key(
        "visible characters, names such as CR, and bytes such as 0x0d", 16, ["CR"], USUAL_ENTER
    )

    @property
    def key_bytes(self) -> KeyBytes:
        """What its bytes mean beside digits, ``*`` and ``#``."""
        return key_bytes(self.clear, self.enter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpio:
    """Which pins are wired to what, by BCM number (not the place on the header)."""

    factory: Factory = key("lgpio")
    relay_pin: BcmPin = key(17)
    relay_active_high: bool = key(True)
    contact_pin: BcmPin | None = key(None, example=22)
    contact_open_high: bool = key(True)
    exit_button_pin: BcmPin | None = key(None, example=27)
    exit_button_active_high: bool = key(False)
    fire_pin: BcmPin | None = key(None, example=5)
    fire_active_high: bool = key(True)
    other_door_pin: BcmPin | None = key(None, example=6)
    other_door_open_high: bool = key(True)
    green_pin: BcmPin | None = key(None, example=23)
    red_pin: BcmPin | None = key(None, example=24)
    buzzer_pin: BcmPin | None = key(None, example=25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The door leaf; `exit_is_free`, as in `LeafRules`, is no key: it follows from the wiring."""

    release_s: float = key(5.0, within=(0.5, 30))
    free_when_staffed: bool = key(True)
    held_open_s: float = key(30.0, within=(1, 600))
    prewarn_s: float = key(10.0, within=(0, 300))
    long_release_s: float = key(15.0, within=(0.5, 60))
    long_release_tags: tuple[PatronTag, ...] = list_key(
        "tags of 1 to 64 characters", 16, ["long_release"]
    )
    exit_release_s: float = key(5.0, within=(0.5, 30))
    interlock_wait_s: float = key(10.0, within=(0, 60))
    exit_is_free: bool = False


_HTTP = (
    r"^(|https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~-]+)*/?)\Z"
)


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

    public_key_files: tuple[Path, ...] = list_key("paths", 4, ["/etc/doorctl/push.pem"])
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Signin:
    """How long staff stay signed in."""

    idle_min: int = key(30, within=(2, 30))


_HOST = r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]"
_LIBRARY = rf"^(|(https?|sip2s?)://({_HOST})(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*/?)\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lms:
    """The library system, how it is reached and how long its answer counts; kinds add keys."""

    kind: Literal["", "fbs", "sip2", "koha", "folio"] = key("")
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
    ca_file: Path = key(Path(), example="/etc/doorctl/lms-ca.pem")
    timeout_s: float = key(2.0, within=(0.2, 10))
    pause_min: float = key(10.0, within=(1, 1440))
    row_days: int = key(3, within=(1, 30))
    pin_days: int = key(30, within=(1, 365))


PatronClass = Annotated[str, Meta(pattern=r"^[!-{}~]([ -{}~]{0,62}[!-{}~])?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsWithClasses(Lms):
    """A kind that knows no residence, but a class of each patron."""

    resident_classes: tuple[PatronClass, ...] = key(
        (),
        example=["VOKSEN", "BARN"],
        allowed="a list of classes of 1 to 64 ASCII characters without | or outer blanks",
        max_length=64,
    )


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
    """Return the parts of an address that the schema accepts; None for a port beyond 65535.

    And for brackets that hold no IPv6 address.
    """
    try:
        parts = urlsplit(url)
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
    to: tuple[MailAddress, ...] = list_key("mail addresses", 10, ["vagt@randers.example"])
    user: str = visible_key("doorctl", most=128)
    password_file: Path = key(Path(), example="/etc/doorctl/mail.password")
    ca_file: Path = key(Path(), example="/etc/doorctl/mail-ca.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmWebhook:
    """Where alarms are posted; an empty address for nowhere."""

    url: str = address_key("https://alarms.example/doorctl")
    secret_file: Path = key(Path(), example="/etc/doorctl/webhook.secret")
    ca_file: Path = key(Path(), example="/etc/doorctl/webhook-ca.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmHeartbeat:
    """Who raises an alarm when nothing is heard any more; an empty address for nobody."""

    url: str = address_key("https://switch.example/0f3a")
    ca_file: Path = key(Path(), example="/etc/doorctl/heartbeat-ca.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How alarms leave the house, beside the journal, which has them all."""

    language: Literal["da", "en"] = key("da")
    min_interval_min: float = key(60.0, within=(1, 1440))
    most_per_hour: int = key(20, within=(2, 100))
    email: AlarmEmail = field(default_factory=AlarmEmail)
    webhook: AlarmWebhook = field(default_factory=AlarmWebhook)
    heartbeat: AlarmHeartbeat = field(default_factory=AlarmHeartbeat)

    @property
    def wanted(self) -> bool:
        """Whether alarms leave the house at all."""
        return bool(self.email.host or self.webhook.url)


Recipient = Annotated[
    str,
    Meta(pattern=r"^(age1[a-z0-9]{20,4000}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]{40,2000})\Z"),
]
_DESTINATION = (
    r"^(|(https?|sftp)://([A-Za-z0-9._-]{1,64}@)?[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~-]+)*/)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Who can open the backups, and where they are; without recipients none are made."""

    recipients: tuple[Recipient, ...] = list_key(
        "public keys, age1… or ssh-ed25519 …",
        8,
        ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    )
    directory: Path = key(Path("/var/backups/doorctl"))
    keep: int = key(14, within=(1, 30))
    destination: str = key(
        "",
        example="sftp://doorctl@backup.example/oest/",
        allowed='a directory that begins with sftp:// or https:// and ends with /, or ""',
        pattern=_DESTINATION,
    )
    ssh_key_file: Path = key(Path(), example="/etc/doorctl/backup.key")
    known_hosts_file: Path = key(Path(), example="/etc/doorctl/backup.hosts")
    password_file: Path = key(Path(), example="/etc/doorctl/backup.password")
    ca_file: Path = key(Path(), example="/etc/doorctl/backup-ca.pem")


SourceKind = Literal["feed"]
Workers = Annotated[int, Meta(ge=1, le=256)]
Age = Annotated[int, Meta(ge=0, le=99)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A branch that patrons are pushed to."""

    branch: str = id_key()
    url: str = key(
        "",
        example="https://oest.example:8443",
        allowed="an address that begins with https:// or http://",
        pattern=r"^https?://[A-Za-z0-9.:_\[\]-]{1,253}(/[A-Za-z0-9._~/-]{0,253})?\Z",
    )
    via: Literal["url", "nats"] = key("url")
    public_key_file: Path = key(Path(), example="/etc/doorctl/oest-answers.pub")
    ca_file: Path = key(Path(), example="/etc/doorctl/branches-ca.pem")
    certificate_file: Path = key(Path(), example="/etc/doorctl/sender.pem")
    key_file: Path = key(Path(), example="/etc/doorctl/sender.key")
    minimum_age: Age | None = key(None, example=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """How this machine sends patrons to branches."""

    source: SourceKind = key("feed")
    feed: Path = key(Path(), example="/srv/doorctl/exports")
    signing_key_file: Path = key(Path("/etc/doorctl/signing.key"))
    state_directory: Path = key(Path("/var/lib/doorctl-sync"))
    wrong_rows_share: float = key(0.005, within=(0, 0.05))
    branch_behind_h: float = key(12.0, within=(1, 72))
    workers: Workers | None = key(None, example=2)
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What `doorctl setup` alone is told, under [setup] of an answers file."""

    language: Language = key("da")
    feed: Path = key(Path(), example="/root/FEED.ndjson")
    certificate: Literal["keep", "self-signed", "request", "files"] = key("keep")
    web_name: str = key(
        "",
        example="oest.bibliotek.example",
        allowed="the name that browsers and the sender use",
        pattern=r"^[A-Za-z0-9.:-]{0,253}\Z",
    )
    certificate_file: Path = key(Path(), example="/root/web.pem")
    key_file: Path = key(Path(), example="/root/web.key")
    test_alarm: bool = key(False)
    account: str = key("", example="tekniker", allowed='a login, or "" for none', max_length=64)
    account_role: Literal["viewer", "staff", "manager", "dpo", "technician"] = key("technician")
    account_password_file: Path = key(Path(), example="/root/first.password")
    boot_lines: bool = key(False)
    by: str = key("", example="Elfirmaet", allowed="a firm or a role", max_length=80)
