"""Tables about the installation: its branch, files, devices and door; and how values are shown."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from msgspec import Meta

from doorctl.access.calendar import Mode
from doorctl.access.day import Output

REQUIRED: Final = dataclasses.MISSING

LONGEST_SHOWN = 60
"""Characters of a value that a message repeats: enough to find it, and one line stays one line."""

TOML_BITS = 64
"""TOML's own whole numbers; Python refuses to print very much longer ones."""

FIRST_LONG = 0x10000
"""The first code point that needs TOML's long escape."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")


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
            return f"[{', '.join(_item(item) for item in value[:LONGEST_SHOWN])}]"
        case dict():
            return "a table"
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


def _item(value: object) -> str:
    return "a list" if isinstance(value, list) else _toml(value)


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


Language = Literal["da", "en"]
Trust = Literal["auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Which library this is."""

    name: str = key(
        example="Randers Bibliotek, Øst", allowed="text of at most 80 characters", max_length=80
    )
    id: str = key(
        example="oest", allowed="1 to 32 of a-z, 0-9 and -", pattern=r"^[a-z0-9-]{1,32}\Z"
    )
    isil: str = key(
        "",
        example="DK-773000",
        allowed='an ISIL, or "" for none',
        pattern=r"^([A-Z]{1,4}-[A-Za-z0-9:/-]{1,11})?\Z",
    )
    time_zone: str = key("Europe/Copenhagen", allowed="the name of a time zone", max_length=64)
    language: Language = key("da")
    phone: str = key(
        "",
        example="12 34 56 78",
        allowed='at most 32 digits, spaces, +, -, ( and ), or "" for none',
        pattern=r"^[0-9+ ()-]{0,32}\Z",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the databases are."""

    directory: Path = key(Path("/var/lib/doorctl"))
    door_directory: Path = key(Path(), example="/var/lib/doorctl-door")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in."""

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
    weak_pin: Literal["allow", "warn", "refuse"] = key("warn")
    code_entry: bool = key(False)
    first_card: tuple[Tag, ...] = key(
        (), allowed="a list of names of 1 to 32 characters", max_length=16
    )
    max_cache_age_h: float = key(72.0, gt=0, le=8760)


LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The screen at the door, which shows the web process's page /panel."""

    keypad: bool = key(False)
    elsewhere: bool = key(False)
    languages: tuple[LanguageCode, ...] = key(
        (), example=["da", "en"], allowed='a list of at most 8 codes such as "en"', max_length=8
    )
    speech: bool = key(False)
    message_s: float = key(6.0, within=(2, 30))
    countdown_min: int = key(15, within=(0, 120))
    idle_s: int = key(30, within=(5, 600))


Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]
DataBits = Literal[7, 8]
Parity = Literal["none", "even", "odd"]
StopBits = Literal[1, 2]
Factory = Literal["lgpio", "mock"]
BcmPin = Annotated[int, Meta(ge=0, le=27)]
PatronTag = Annotated[str, Meta(pattern=r"\A(?! )[^\x00-\x1f\x7f]{1,64}(?<! )\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The card reader's serial line."""

    port: str = key(
        example="/dev/serial/by-id/usb-CARD_READER-if00-port0",
        allowed="the path of a serial device",
        max_length=255,
    )
    baud: Baud = key(9600)
    data_bits: DataBits = key(8)
    parity: Parity = key("none")
    stop_bits: StopBits = key(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypad:
    """The PIN pad's serial line and how long a patron may take."""

    port: str = key(
        "",
        example="/dev/serial/by-id/usb-KEYPAD-if00-port0",
        allowed='the path of a serial device, or ""',
        max_length=255,
    )
    baud: Baud = key(9600)
    data_bits: DataBits = key(8)
    parity: Parity = key("none")
    stop_bits: StopBits = key(1)
    digit_timeout_s: float = key(10.0, within=(1, 60))
    total_timeout_s: float = key(30.0, within=(1, 300))


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
    """The door leaf."""

    release_s: float = key(5.0, within=(0.5, 30))
    free_when_staffed: bool = key(True)
    held_open_s: float = key(30.0, within=(1, 600))
    prewarn_s: float = key(10.0, within=(0, 300))
    long_release_s: float = key(15.0, within=(0.5, 60))
    long_release_tags: tuple[PatronTag, ...] = key(
        (),
        example=["long_release"],
        allowed="a list of at most 16 tags of 1 to 64 characters",
        max_length=16,
    )
    exit_release_s: float = key(5.0, within=(0.5, 30))
    interlock_wait_s: float = key(10.0, within=(0, 60))


ModeName = Literal["closed", "lockdown", "self_service", "staffed"]
Argument = Annotated[str, Meta(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredOutput:
    """An output that follows the mode."""

    name: str = key(
        example="light", allowed="1 to 32 of a-z, 0-9, - and _", pattern=r"^[a-z0-9_-]{1,32}\Z"
    )
    pin: BcmPin | None = key(None, example=12)
    command: tuple[Argument, ...] = key(
        (),
        example=["/usr/local/bin/patron-pcs"],
        allowed="a list of at most 16 texts",
        max_length=16,
    )
    modes: tuple[ModeName, ...] = key(
        example=["staffed", "self_service"],
        allowed='a list of "staffed", "self_service", "closed", "lockdown"',
        max_length=4,
    )
    lead_min: int = key(0, within=(-240, 240))
    lag_min: int = key(0, within=(-240, 240))
    at_warnings: bool = key(False)
    pulse_s: float = key(10.0, within=(1, 300))

    @property
    def rule(self) -> Output:
        """When it is on, as the pure code judges it."""
        modes = frozenset(Mode(name) for name in self.modes)
        return Output(self.name, modes, self.lead_min, self.lag_min)
