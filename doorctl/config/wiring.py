"""Tables about the devices: reader, keypad, pins and the door leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from doorctl.config.description import key

Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]
Factory = Literal["lgpio", "mock"]
BcmPin = Annotated[int, Meta(ge=0, le=27)]


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
        key("Whether the relay is on while its pin is high; false for most opto-coupled boards."),
    ] = True
    contact_pin: Annotated[
        BcmPin | None,
        key("BCM number of the door contact. Absent: not wired. Not driven by this version.", 22),
    ] = None
    exit_button_pin: Annotated[
        BcmPin | None,
        key("BCM number of the exit button. Absent: not wired. Not driven by this version.", 27),
    ] = None
    fire_pin: Annotated[
        BcmPin | None,
        key(
            "BCM number of the fire alarm's dry contact. Absent: not wired. Not driven by this "
            "version.",
            5,
        ),
    ] = None
    green_pin: Annotated[
        BcmPin | None, key("BCM number of the green lamp. Absent: not wired.", 23)
    ] = None
    red_pin: Annotated[BcmPin | None, key("BCM number of the red lamp. Absent: not wired.", 24)] = (
        None
    )
    buzzer_pin: Annotated[
        BcmPin | None, key("BCM number of the buzzer. Absent: not wired.", 25)
    ] = None

    @property
    def not_driven(self) -> str | None:
        """A warning that names the keys that are set for nothing; None if there are none."""
        pins = ("contact_pin", "exit_button_pin", "fire_pin")
        told = ", ".join(f"gpio.{pin}" for pin in pins if getattr(self, pin) is not None)
        return f"{told}: set, but not driven by this version" if told else None


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
    held_open_s: Annotated[
        float,
        key("Seconds that the door may stand open before an alarm.", ge=1, le=600),
    ] = 30.0
