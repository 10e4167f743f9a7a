"""Tables about the installation: which branch, where its files are, how it is reached."""

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

# How keys and values of the configuration are shown in a message: as TOML, short, harmless.

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
    why: str,
    default: Any = REQUIRED,
    *,
    example: object = None,
    allowed: str | None = None,
    within: tuple[float, float] | None = None,
    **bounds: Any,
) -> Any:
    """Describe one key, as a field of its table's dataclass.

    Args:
        why: its unit, where it has one, then its reason and source; messages don't show it, the
            example file's comments and the documentation do.
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
    meta = Meta(description=why, examples=examples, extra=extra, **bounds)
    return dataclasses.field(default=default, metadata={"meta": meta})


Language = Literal["da", "en"]
Trust = Literal["auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Which library this is."""

    name: str = key(
        "The branch's name as patrons and staff read it.",
        example="Randers Bibliotek, Øst",
        allowed="text of at most 80 characters",
        max_length=80,
    )
    id: str = key(
        "The branch's short name; a push for another id is refused.",
        example="oest",
        allowed="1 to 32 of a-z, 0-9 and -",
        pattern=r"^[a-z0-9-]{1,32}\Z",
    )
    isil: str = key(
        "The branch's ISIL (ISO 15511), as the library system names it.",
        "",
        example="DK-773000",
        allowed='an ISIL, or "" for none',
        pattern=r"^([A-Z]{1,4}-[A-Za-z0-9:/-]{1,11})?\Z",
    )
    time_zone: str = key(
        "IANA name of the zone whose clock the opening hours and birthdays follow.",
        "Europe/Copenhagen",
        allowed="the name of a time zone",
        max_length=64,
    )
    language: Language = key("What the panel speaks first.", "da")
    phone: str = key(
        "Telephone number shown to a refused patron.",
        "",
        example="12 34 56 78",
        allowed='at most 32 digits, spaces, +, -, ( and ), or "" for none',
        pattern=r"^[0-9+ ()-]{0,32}\Z",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the databases are."""

    directory: Path = key(
        "Directory of patrons.db, branch.db and visits.db; systemd's StateDirectory= makes it. A "
        "relative path counts from this file's directory.",
        Path("/var/lib/doorctl"),
    )
    door_directory: Path = key(
        "Directory of what the door process writes (visits.db and the purges' reports), where "
        "that is a user of its own; web writes the other one. Both are then of mode 0750 and of a "
        "group that the two users share: what is made in such a directory is the group's to read. "
        "Empty: storage.directory. A relative path counts from this file's directory.",
        Path(),
        example="/var/lib/doorctl-door",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where the secrets are; none stands in the configuration itself."""

    installation_key_file: Path = key(
        "File of 32 secret bytes, and 32 for each later key (mode 0600, made by doorctl init), "
        "without which patrons.db says nothing. Root alone reads it; systemd hands the door "
        "process a copy (LoadCredential=), which its unit names with --set and "
        "$CREDENTIALS_DIRECTORY/. A relative path counts from this file's directory.",
        Path("/etc/doorctl/installation.key"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The cost of stretching an identifier (Argon2id, one lane)."""

    memory_kib: int = key(
        "KiB of memory for each guess. 19456 (19 MiB) with 2 iterations is OWASP's minimum; lower "
        "only for tests and benchmarks. Another value needs a full load.",
        19456,
        within=(8, 1_048_576),
    )
    iterations: int = key(
        "Passes over that memory. Another value needs a full load.", 2, within=(1, 100)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """The door log."""

    retention_days: int = key(
        "Days that the door log is kept; more than 30 can't be set (the sector's privacy template "
        "deletes after 30).",
        30,
        within=(1, 30),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrust:
    """When the wall clock is believed."""

    trust: Trust = key(
        '"auto": while timesyncd, by its file, or a battery clock vouches for it. chrony tells '
        "only the kernel, which the units may ask once they have the drop-in of "
        'systemd/README.md. "always": somebody else keeps it right (a container, a virtual '
        "machine, a battery clock that the kernel does not show).",
        "auto",
    )


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

    socket: Path = key(
        "Unix socket on which the door process answers status and purge, at most 107 bytes long. "
        "Empty: door.sock in storage.door_directory. A relative path counts from this file's "
        "directory.",
        Path(),
        example="/run/doorctl/door.sock",
    )
    kept_from_web: tuple[Deed, ...] = key(
        "What the door refuses the web process and its user, for whoever captures that process "
        'asks for it too: ["open"] lets nobody in from the staff pages. Root\'s commands may '
        "always ask.",
        (),
        example=["open"],
        allowed=f"a list of some of {', '.join(DEEDS)}",
        max_length=len(DEEDS),
    )


Tag = Annotated[str, Meta(pattern=r"^\S(.{0,30}\S)?\Z")]
BlockCode = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in."""

    require_pin: bool = key(
        "Whether a card needs its PIN. False: whoever finds a card can use it.", True
    )
    pin_length: int = key(
        "Digits of a PIN; FBS has four (ISO 9564 allows 4 to 12).", 4, within=(4, 12)
    )
    require_resident: bool = key("Whether only those who live in the municipality come in.", True)
    minimum_age: int = key(
        "Years. 14 is the national template's rule for open libraries (DPL CMS); 0 is no rule. "
        "Another value needs a full load.",
        14,
        within=(0, 99),
    )
    deny_blocks: tuple[BlockCode, ...] = key(
        "Block codes of the library system that shut somebody out. Not E (debt) or W: a library "
        "may refuse lending for these, not the room (biblioteksloven, section 31).",
        ("O", "D", "S", "U", "F"),
        allowed="a list of codes of 1 to 8 of A-Z and 0-9",
        max_length=64,
    )
    deny_other_blocks: bool = key(
        "Whether a code that doorctl does not know refuses too: any doubt refuses.", True
    )
    companions_max: int = key(
        "How many companions a patron may tell with a key 1-9 in the seconds after the door "
        "opened; 0 asks nobody. It only counts heads and holds the door a little longer.",
        0,
        within=(0, 9),
    )
    duress: bool = key(
        "Whether a PIN whose last digit is one higher (9 becomes 0) opens like the right one and "
        "raises a silent alarm. It makes two of 10 000 PINs right.",
        False,
    )
    weak_pin: Literal["allow", "warn", "refuse"] = key(
        "What a right PIN comes to that is too easy to guess: a birthday, digits of the CPR "
        "number, the end of the card's number, 1234, 0000, 1212, 1122. To be of use it must be "
        "set where patrons are sealed too: with allow no row says which PINs are weak, for that "
        "would help a thief of the rows.",
        "warn",
    )
    code_entry: bool = key(
        "Whether an issued code of 6 to 9 digits and # opens without a card. It is typed on a "
        "keypad of its own line (keypad.port) or on the screen (panel.keypad).",
        False,
    )
    first_card: tuple[Tag, ...] = key(
        "Whoever has to come in on each day, or staff open from the page, before anybody does by "
        "self-service: kinds of passes, such as cleaner, or patrons' tags. Staff's passes count "
        "in any case. Until then it is closed; at midnight it begins anew. Empty: no such rule.",
        (),
        allowed="a list of names of 1 to 32 characters",
        max_length=16,
    )
    max_cache_age_h: float = key(
        "Hours since the last load or push after which nobody is let in by the old register. 72 "
        "outlast a weekend without a network.",
        72.0,
        gt=0,
        le=8760,
    )


LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The screen at the door, which shows the web process's page /panel."""

    keypad: bool = key(
        "Whether the screen shows a PIN pad: only where keypad.port is empty, only on a screen of "
        "this machine, and never behind something that passes on other machines' requests.",
        False,
    )
    elsewhere: bool = key(
        "Whether other machines may see the page, such as a tablet at the door. Whoever sees it "
        "sees when somebody comes; keys are taken from this machine only.",
        False,
    )
    languages: tuple[LanguageCode, ...] = key(
        "Languages that can be chosen on the screen, in order after branch.language. Empty: every "
        "catalogue that is there.",
        (),
        example=["da", "en"],
        allowed='a list of at most 8 codes such as "en"',
        max_length=8,
    )
    speech: bool = key(
        "Whether the page offers to speak, by the voices that the browser has.", False
    )
    message_s: float = key(
        "Seconds that a welcome or a refusal stands, each as long as any other; the next card "
        "ends it.",
        6.0,
        within=(2, 30),
    )
    countdown_min: int = key(
        "Minutes before closing from which on they are counted down.", 15, within=(0, 120)
    )
    idle_s: int = key(
        "Seconds of rest after which a language that somebody chose gives way to branch.language.",
        30,
        within=(5, 600),
    )


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
        "The reader's serial device; a name under /dev/serial/by-id stays the same after it was "
        "unplugged.",
        example="/dev/serial/by-id/usb-CARD_READER-if00-port0",
        allowed="the path of a serial device",
        max_length=255,
    )
    baud: Baud = key("Bits per second; see the reader's manual.", 9600)
    data_bits: DataBits = key("Bits of a character; many stripe readers send 7E1.", 8)
    parity: Parity = key("The parity bit: the E of 7E1 is even, the N of 8N1 none.", "none")
    stop_bits: StopBits = key("Stop bits of a character.", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypad:
    """The PIN pad's serial line and how long a patron may take."""

    port: str = key(
        "The keypad's serial device. Empty: the keys come on the reader's line.",
        "",
        example="/dev/serial/by-id/usb-KEYPAD-if00-port0",
        allowed='the path of a serial device, or ""',
        max_length=255,
    )
    baud: Baud = key("Bits per second; see the keypad's manual.", 9600)
    data_bits: DataBits = key("Bits of a character; see the keypad's manual.", 8)
    parity: Parity = key("The parity bit: the E of 7E1 is even, the N of 8N1 none.", "none")
    stop_bits: StopBits = key("Stop bits of a character.", 1)
    digit_timeout_s: float = key(
        "Seconds from one key to the next before the entry is dropped, so that nobody finishes "
        "what another began.",
        10.0,
        within=(1, 60),
    )
    total_timeout_s: float = key(
        "Seconds from the card to the last digit; not less than digit_timeout_s.",
        30.0,
        within=(1, 300),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpio:
    """Which pins are wired to what, by BCM number (not the place on the header)."""

    factory: Factory = key(
        'Who drives the pins: lgpio on a Pi, "mock" for a trial without one. No fall-back.', "lgpio"
    )
    relay_pin: BcmPin = key("BCM number of the strike's relay.", 17)
    relay_active_high: bool = key(
        "Whether the relay is on while its pin is high; false for most opto-coupled boards. At "
        "boot GPIO0-8 are pulled up and GPIO9-27 down, and that has to mean locked.",
        True,
    )
    contact_pin: BcmPin | None = key(
        "BCM number of the door contact. Absent: not wired, and no door is told to be held or "
        "forced.",
        None,
        example=22,
    )
    contact_open_high: bool = key(
        "Whether that pin is high while the door is open: a contact to ground that is closed with "
        "the door, and the pin is pulled up. Either way the pull makes a cut wire read as open, "
        "so that sabotage alarms.",
        True,
    )
    exit_button_pin: BcmPin | None = key(
        "BCM number of the exit button. Absent: not wired, and an opening from inside can't be "
        "told from a forced one.",
        None,
        example=27,
    )
    exit_button_active_high: bool = key(
        "Whether that pin is high while the button is pressed. False: a button to ground, and the "
        "pin is pulled up. Either way the pull makes a cut wire read as not pressed, so that it "
        "can't release the door for ever; the way out never depends on it.",
        False,
    )
    fire_pin: BcmPin | None = key(
        "BCM number of the fire alarm's dry contact. Absent: not wired.", None, example=5
    )
    fire_active_high: bool = key(
        "Whether that pin is high during a fire: a loop to ground that the alarm breaks, and the "
        "pin is pulled up. Either way the pull makes a cut wire read as a fire; it is recorded "
        "and mutes the door's alarms, and the way out never depends on it.",
        True,
    )
    other_door_pin: BcmPin | None = key(
        "BCM number of the contact of a lobby's other door, which has to be closed before this "
        "one is released to somebody outside. Absent: no lobby.",
        None,
        example=6,
    )
    other_door_open_high: bool = key(
        "Whether that pin is high while the other door is open: as for contact_open_high. A cut "
        "wire reads as open, which keeps people out and nobody in.",
        True,
    )
    green_pin: BcmPin | None = key(
        "BCM number of the green lamp. Absent: not wired.", None, example=23
    )
    red_pin: BcmPin | None = key("BCM number of the red lamp. Absent: not wired.", None, example=24)
    buzzer_pin: BcmPin | None = key(
        "BCM number of the buzzer. Absent: not wired.", None, example=25
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The door leaf."""

    release_s: float = key(
        "Seconds that the strike stays released. EN 60839-11-1 (table 2, row 5) asks for at least "
        "3 where the system sets the time; less is for tests.",
        5.0,
        within=(0.5, 30),
    )
    free_when_staffed: bool = key(
        "Whether the strike stays released in staffed hours. False: staff open the lock "
        "themselves, or the relay is a timer relay, which lets go by itself. A patron's card is "
        "not asked for in staffed hours either way.",
        True,
    )
    held_open_s: float = key(
        "Seconds that the door may stand open before an alarm.", 30.0, within=(1, 600)
    )
    prewarn_s: float = key(
        "Seconds before that alarm at which the buzzer warns; less than held_open_s (EN "
        "60839-11-1, table 3, row 2). 0: no warning.",
        10.0,
        within=(0, 300),
    )
    long_release_s: float = key(
        "Seconds that the strike stays released for those who need longer; not less than "
        "release_s. A timer relay has to allow it.",
        15.0,
        within=(0.5, 60),
    )
    long_release_tags: tuple[PatronTag, ...] = key(
        "Tags of the patron register for whom long_release_s counts, such as for wheelchair "
        "users. They say something of a person's health: tag nobody without being asked to.",
        (),
        example=["long_release"],
        allowed="a list of at most 16 tags of 1 to 64 characters",
        max_length=16,
    )
    exit_release_s: float = key(
        "Seconds that the strike stays released by the exit button; at least 3 for somebody slow, "
        "less is for tests.",
        5.0,
        within=(0.5, 30),
    )
    interlock_wait_s: float = key(
        "Seconds that somebody let in waits for a lobby's other door to close; then the card has "
        "to be read again. 0: no wait.",
        10.0,
        within=(0, 60),
    )


ModeName = Literal["closed", "lockdown", "self_service", "staffed"]
Argument = Annotated[str, Meta(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredOutput:
    """An output that follows the mode."""

    name: str = key(
        "What it is called in the log and on the staff page.",
        example="light",
        allowed="1 to 32 of a-z, 0-9, - and _",
        pattern=r"^[a-z0-9_-]{1,32}\Z",
    )
    pin: BcmPin | None = key(
        "BCM number of its relay, high while it is on. Absent: it has a command.", None, example=12
    )
    command: tuple[Argument, ...] = key(
        "A command, its whole path and its arguments, run at each change with on or off after "
        "them; no shell reads it. Empty: it has a pin.",
        (),
        example=["/usr/local/bin/patron-pcs"],
        allowed="a list of at most 16 texts",
        max_length=16,
    )
    modes: tuple[ModeName, ...] = key(
        "The modes in which it is on. Empty: only at the warnings.",
        example=["staffed", "self_service"],
        allowed='a list of "staffed", "self_service", "closed", "lockdown"',
        max_length=4,
    )
    lead_min: int = key(
        "Minutes by which it goes on before such a mode starts; negative: after.",
        0,
        within=(-240, 240),
    )
    lag_min: int = key(
        "Minutes by which it goes off after such a mode ends; negative: before.",
        0,
        within=(-240, 240),
    )
    at_warnings: bool = key(
        "Whether its command also runs with on at each of closing.warn_min, such as for an "
        "announcement, and with off after pulse_s.",
        False,
    )
    pulse_s: float = key("Seconds that it is on at a warning.", 10.0, within=(1, 300))

    @property
    def rule(self) -> Output:
        """When it is on, as the pure code judges it."""
        modes = frozenset(Mode(name) for name in self.modes)
        return Output(self.name, modes, self.lead_min, self.lag_min)
