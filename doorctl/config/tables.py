"""Tables about the installation: which branch, where its files are, how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta

from doorctl.config.wording import key

Language = Literal["da", "en"]
Trust = Literal["auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Which library this is."""

    name: Annotated[
        str,
        key(
            "The branch's name as patrons and staff read it.",
            "Randers Bibliotek, Øst",
            "text of at most 80 characters",
            max_length=80,
        ),
    ]
    id: Annotated[
        str,
        key(
            "The branch's short name; a push for another id is refused.",
            "oest",
            "1 to 32 of a-z, 0-9 and -",
            pattern=r"^[a-z0-9-]{1,32}\Z",
        ),
    ]
    isil: Annotated[
        str,
        key(
            "The branch's ISIL (ISO 15511), as the library system names it.",
            "DK-773000",
            'an ISIL, or "" for none',
            pattern=r"^([A-Z]{1,4}-[A-Za-z0-9:/-]{1,11})?\Z",
        ),
    ] = ""
    time_zone: Annotated[
        str,
        key(
            "IANA name of the zone whose clock the opening hours and birthdays follow.",
            allowed="the name of a time zone",
            max_length=64,
        ),
    ] = "Europe/Copenhagen"
    language: Annotated[Language, key("What the panel speaks first.")] = "da"
    phone: Annotated[
        str,
        key(
            "Telephone number shown to a refused patron.",
            "12 34 56 78",
            'at most 32 digits, spaces, +, -, ( and ), or "" for none',
            pattern=r"^[0-9+ ()-]{0,32}\Z",
        ),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the databases are."""

    directory: Annotated[
        Path,
        key(
            "Directory of patrons.db, branch.db and visits.db; systemd's StateDirectory= makes "
            "it. A relative path counts from this file's directory."
        ),
    ] = Path("/var/lib/doorctl")
    door_directory: Annotated[
        Path,
        key(
            "Directory of what the door process writes (visits.db and the purges' reports), where "
            "that is a user of its own; web writes the other one. Both are then of mode 0750 and "
            "of a group that the two users share: what is made in such a directory is the "
            "group's to read. Empty: storage.directory. A relative path counts from this file's "
            "directory.",
            "/var/lib/doorctl-door",
            'a path, or ""',
        ),
    ] = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where the secrets are; none stands in the configuration itself."""

    installation_key_file: Annotated[
        Path,
        key(
            "File of 32 secret bytes, and 32 for each later key (mode 0600, made by doorctl init), "
            "without which patrons.db says nothing. Root alone reads it; systemd hands the door "
            "process a copy (LoadCredential=), which its unit names with --set and "
            "$CREDENTIALS_DIRECTORY/. A relative path counts from this file's directory."
        ),
    ] = Path("/etc/doorctl/installation.key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The cost of stretching an identifier (Argon2id, one lane)."""

    memory_kib: Annotated[
        int,
        key(
            "KiB of memory for each guess. 19456 (19 MiB) with 2 iterations is OWASP's minimum; "
            "lower only for tests and benchmarks. Another value needs a full load.",
            ge=8,
            le=1_048_576,
        ),
    ] = 19456
    iterations: Annotated[
        int,
        key("Passes over that memory. Another value needs a full load.", ge=1, le=100),
    ] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """The door log."""

    retention_days: Annotated[
        int,
        key(
            "Days that the door log is kept; more than 30 can't be set (the sector's privacy "
            "template deletes after 30).",
            ge=1,
            le=30,
        ),
    ] = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrust:
    """When the wall clock is believed."""

    trust: Annotated[
        Trust,
        key(
            '"auto": while timesyncd, by its file, or a battery clock vouches for it. chrony tells '
            "only the kernel, which the units may ask once they have the drop-in of "
            'systemd/README.md. "always": somebody else keeps it right (a container, a virtual '
            "machine, a battery clock that the kernel does not show)."
        ),
    ] = "auto"


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

    socket: Annotated[
        Path,
        key(
            "Unix socket on which the door process answers status and purge, at most 107 bytes "
            "long. Empty: door.sock in storage.door_directory. A relative path counts from this "
            "file's directory.",
            "/run/doorctl/door.sock",
            'a path, or ""',
        ),
    ] = Path()
    kept_from_web: Annotated[
        tuple[Deed, ...],
        key(
            "What the door refuses the web process and its user, for whoever captures that process "
            'asks for it too: ["open"] lets nobody in from the staff pages. Root\'s commands may '
            "always ask.",
            ["open"],
            f"a list of some of {', '.join(DEEDS)}",
            max_length=len(DEEDS),
        ),
    ] = ()


Tag = Annotated[str, Meta(pattern=r"^\S(.{0,30}\S)?\Z")]
BlockCode = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in."""

    require_pin: Annotated[
        bool,
        key("Whether a card needs its PIN. False: whoever finds a card can use it."),
    ] = True
    pin_length: Annotated[
        int,
        key("Digits of a PIN; FBS has four (ISO 9564 allows 4 to 12).", ge=4, le=12),
    ] = 4
    require_resident: Annotated[
        bool, key("Whether only those who live in the municipality come in.")
    ] = True
    minimum_age: Annotated[
        int,
        key(
            "Years. 14 is the national template's rule for open libraries (DPL CMS); 0 is no "
            "rule. Another value needs a full load.",
            ge=0,
            le=99,
        ),
    ] = 14
    deny_blocks: Annotated[
        tuple[BlockCode, ...],
        key(
            "Block codes of the library system that shut somebody out. Not E (debt) or W: a "
            "library may refuse lending for these, not the room (biblioteksloven, section 31).",
            allowed="a list of codes of 1 to 8 of A-Z and 0-9",
            max_length=64,
        ),
    ] = ("O", "D", "S", "U", "F")
    deny_other_blocks: Annotated[
        bool,
        key("Whether a code that doorctl does not know refuses too: any doubt refuses."),
    ] = True
    companions_max: Annotated[
        int,
        key(
            "How many companions a patron may tell with a key 1-9 in the seconds after the door "
            "opened; 0 asks nobody. It only counts heads and holds the door a little longer.",
            ge=0,
            le=9,
        ),
    ] = 0
    duress: Annotated[
        bool,
        key(
            "Whether a PIN whose last digit is one higher (9 becomes 0) opens like the right one "
            "and raises a silent alarm. It makes two of 10 000 PINs right."
        ),
    ] = False
    weak_pin: Annotated[
        Literal["allow", "warn", "refuse"],
        key(
            "What a right PIN comes to that is too easy to guess: a birthday, digits of the CPR "
            "number, the end of the card's number, 1234, 0000, 1212, 1122. To be of use it must "
            "be set where patrons are sealed too: with allow no row says which PINs are weak, for "
            "that would help a thief of the rows."
        ),
    ] = "warn"
    code_entry: Annotated[
        bool,
        key(
            "Whether an issued code of 6 to 9 digits and # opens without a card. It is typed on a "
            "keypad of its own line (keypad.port) or on the screen (panel.keypad)."
        ),
    ] = False
    first_card: Annotated[
        tuple[Tag, ...],
        key(
            "Whoever has to come in on each day, or staff open from the page, before anybody does "
            "by self-service: kinds of passes, such as cleaner, or patrons' tags. Staff's passes "
            "count in any case. Until then it is closed; at midnight it begins anew. Empty: no "
            "such rule.",
            allowed="a list of names of 1 to 32 characters",
            max_length=16,
        ),
    ] = ()
    max_cache_age_h: Annotated[
        float,
        key(
            "Hours since the last load or push after which nobody is let in by the old register. "
            "72 outlast a weekend without a network.",
            gt=0,
            le=8760,
        ),
    ] = 72.0


LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The screen at the door, which shows the web process's page /panel."""

    keypad: Annotated[
        bool,
        key(
            "Whether the screen shows a PIN pad: only where keypad.port is empty, only on a screen "
            "of this machine, and never behind something that passes on other machines' requests."
        ),
    ] = False
    elsewhere: Annotated[
        bool,
        key(
            "Whether other machines may see the page, such as a tablet at the door. Whoever sees "
            "it sees when somebody comes; keys are taken from this machine only."
        ),
    ] = False
    languages: Annotated[
        tuple[LanguageCode, ...],
        key(
            "Languages that can be chosen on the screen, in order after branch.language. Empty: "
            "every catalogue that is there.",
            ["da", "en"],
            'a list of at most 8 codes such as "en"',
            max_length=8,
        ),
    ] = ()
    speech: Annotated[
        bool,
        key("Whether the page offers to speak, by the voices that the browser has."),
    ] = False
    message_s: Annotated[
        float,
        key(
            "Seconds that a welcome or a refusal stands, each as long as any other; the next card "
            "ends it.",
            ge=2,
            le=30,
        ),
    ] = 6.0
    countdown_min: Annotated[
        int,
        key("Minutes before closing from which on they are counted down.", ge=0, le=120),
    ] = 15
    idle_s: Annotated[
        int,
        key(
            "Seconds of rest after which a language that somebody chose gives way to "
            "branch.language.",
            ge=5,
            le=600,
        ),
    ] = 30


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

    port: Annotated[
        str,
        key(
            "The reader's serial device; a name under /dev/serial/by-id stays the same after it "
            "was unplugged.",
            "/dev/serial/by-id/usb-CARD_READER-if00-port0",
            "the path of a serial device",
            max_length=255,
        ),
    ]
    baud: Annotated[Baud, key("Bits per second; see the reader's manual.")] = 9600
    data_bits: Annotated[DataBits, key("Bits of a character; many stripe readers send 7E1.")] = 8
    parity: Annotated[Parity, key("The parity bit: the E of 7E1 is even, the N of 8N1 none.")] = (
        "none"
    )
    stop_bits: Annotated[StopBits, key("Stop bits of a character.")] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypad:
    """The PIN pad's serial line and how long a patron may take."""

    port: Annotated[
        str,
        key(
            "The keypad's serial device. Empty: the keys come on the reader's line.",
            "/dev/serial/by-id/usb-KEYPAD-if00-port0",
            'the path of a serial device, or ""',
            max_length=255,
        ),
    ] = ""
    baud: Annotated[Baud, key("Bits per second; see the keypad's manual.")] = 9600
    data_bits: Annotated[DataBits, key("Bits of a character; see the keypad's manual.")] = 8
    parity: Annotated[Parity, key("The parity bit: the E of 7E1 is even, the N of 8N1 none.")] = (
        "none"
    )
    stop_bits: Annotated[StopBits, key("Stop bits of a character.")] = 1
    digit_timeout_s: Annotated[
        float,
        key(
            "Seconds from one key to the next before the entry is dropped, so that nobody "
            "finishes what another began.",
            ge=1,
            le=60,
        ),
    ] = 10.0
    total_timeout_s: Annotated[
        float,
        key(
            "Seconds from the card to the last digit; not less than digit_timeout_s.",
            ge=1,
            le=300,
        ),
    ] = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpio:
    """Which pins are wired to what, by BCM number (not the place on the header)."""

    factory: Annotated[
        Factory,
        key('Who drives the pins: lgpio on a Pi, "mock" for a trial without one. No fall-back.'),
    ] = "lgpio"
    relay_pin: Annotated[BcmPin, key("BCM number of the strike's relay.")] = 17
    relay_active_high: Annotated[
        bool,
        key(
            "Whether the relay is on while its pin is high; false for most opto-coupled boards. "
            "At boot GPIO0-8 are pulled up and GPIO9-27 down, and that has to mean locked."
        ),
    ] = True
    contact_pin: Annotated[
        BcmPin | None,
        key(
            "BCM number of the door contact. Absent: not wired, and no door is told to be held or "
            "forced.",
            22,
        ),
    ] = None
    contact_open_high: Annotated[
        bool,
        key(
            "Whether that pin is high while the door is open: a contact to ground that is closed "
            "with the door, and the pin is pulled up. Either way the pull makes a cut wire read "
            "as open, so that sabotage alarms."
        ),
    ] = True
    exit_button_pin: Annotated[
        BcmPin | None,
        key(
            "BCM number of the exit button. Absent: not wired, and an opening from inside can't "
            "be told from a forced one.",
            27,
        ),
    ] = None
    exit_button_active_high: Annotated[
        bool,
        key(
            "Whether that pin is high while the button is pressed. False: a button to ground, and "
            "the pin is pulled up. Either way the pull makes a cut wire read as not pressed, so "
            "that it can't release the door for ever; the way out never depends on it."
        ),
    ] = False
    fire_pin: Annotated[
        BcmPin | None,
        key("BCM number of the fire alarm's dry contact. Absent: not wired.", 5),
    ] = None
    fire_active_high: Annotated[
        bool,
        key(
            "Whether that pin is high during a fire: a loop to ground that the alarm breaks, and "
            "the pin is pulled up. Either way the pull makes a cut wire read as a fire; it is "
            "recorded and mutes the door's alarms, and the way out never depends on it."
        ),
    ] = True
    other_door_pin: Annotated[
        BcmPin | None,
        key(
            "BCM number of the contact of a lobby's other door, which has to be closed before "
            "this one is released to somebody outside. Absent: no lobby.",
            6,
        ),
    ] = None
    other_door_open_high: Annotated[
        bool,
        key(
            "Whether that pin is high while the other door is open: as for contact_open_high. A "
            "cut wire reads as open, which keeps people out and nobody in."
        ),
    ] = True
    green_pin: Annotated[
        BcmPin | None, key("BCM number of the green lamp. Absent: not wired.", 23)
    ] = None
    red_pin: Annotated[BcmPin | None, key("BCM number of the red lamp. Absent: not wired.", 24)] = (
        None
    )
    buzzer_pin: Annotated[
        BcmPin | None, key("BCM number of the buzzer. Absent: not wired.", 25)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The door leaf."""

    release_s: Annotated[
        float,
        key(
            "Seconds that the strike stays released. EN 60839-11-1 (table 2, row 5) asks for at "
            "least 3 where the system sets the time; less is for tests.",
            ge=0.5,
            le=30,
        ),
    ] = 5.0
    free_when_staffed: Annotated[
        bool,
        key(
            "Whether the strike stays released in staffed hours. False: staff open the lock "
            "themselves, or the relay is a timer relay, which lets go by itself. A patron's card "
            "is not asked for in staffed hours either way."
        ),
    ] = True
    held_open_s: Annotated[
        float,
        key("Seconds that the door may stand open before an alarm.", ge=1, le=600),
    ] = 30.0
    prewarn_s: Annotated[
        float,
        key(
            "Seconds before that alarm at which the buzzer warns; less than held_open_s (EN "
            "60839-11-1, table 3, row 2). 0: no warning.",
            ge=0,
            le=300,
        ),
    ] = 10.0
    long_release_s: Annotated[
        float,
        key(
            "Seconds that the strike stays released for those who need longer; not less than "
            "release_s. A timer relay has to allow it.",
            ge=0.5,
            le=60,
        ),
    ] = 15.0
    long_release_tags: Annotated[
        tuple[PatronTag, ...],
        key(
            "Tags of the patron register for whom long_release_s counts, such as for wheelchair "
            "users. They say something of a person's health: tag nobody without being asked to.",
            ["long_release"],
            "a list of at most 16 tags of 1 to 64 characters",
            max_length=16,
        ),
    ] = ()
    exit_release_s: Annotated[
        float,
        key(
            "Seconds that the strike stays released by the exit button; at least 3 for somebody "
            "slow, less is for tests.",
            ge=0.5,
            le=30,
        ),
    ] = 5.0
    interlock_wait_s: Annotated[
        float,
        key(
            "Seconds that somebody let in waits for a lobby's other door to close; then the card "
            "has to be read again. 0: no wait.",
            ge=0,
            le=60,
        ),
    ] = 10.0
