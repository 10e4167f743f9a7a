"""Tables about the devices: reader, keypad, pins and the door leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from doorctl.config.description import key

Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]
DataBits = Literal[7, 8]
Parity = Literal["none", "even", "odd"]
StopBits = Literal[1, 2]
Factory = Literal["lgpio", "mock"]
BcmPin = Annotated[int, Meta(ge=0, le=27)]
Tag = Annotated[str, Meta(pattern=r"\A(?! )[^\x00-\x1f\x7f]{1,64}(?<! )\Z")]


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
        tuple[Tag, ...],
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
