"""USB scanners and keypads that type: how the emulator addresses, plugs and types on each.

QEMU hands a key to the keyboard that belongs to the same screen, and to the first one where there
is none. The board has one screen, which has no name; so each keyboard gets an SSD0303, a display of
a hand's width on the I2C bus, of which the guest's kernel knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Keyboard:
    """QEMU's usb-kbd under a name of its own.

    Args:
        name: its serial number, by which the guest names its node.
        place: the socket of the hub.
        number_block: whether its digits are those of the number block, as a keypad's are.
    """

    name: str
    place: int
    number_block: bool = False

    @property
    def node(self) -> str:
        """The path in the guest that survives re-plugging."""
        return f"/dev/input/by-id/usb-QEMU_QEMU_USB_Keyboard_{self.name}-event-kbd"

    @property
    def screen(self) -> str:
        """The screen that it belongs to."""
        return f"{self.name}-screen"

    def device(self) -> dict[str, str]:
        """Return what QEMU has to be told when it is plugged in."""
        return {
            "driver": "usb-kbd",
            "id": self.name,
            "serial": self.name,
            "display": self.screen,
            "port": f"1.{self.place}",
        }


SCANNER = Keyboard("scanner", 3)
PAD = Keyboard("pad", 4, number_block=True)

SCREENS = tuple(
    f"ssd0303,id={keyboard.screen},bus=i2c-bus.{number},address=60"
    for number, keyboard in enumerate((SCANNER, PAD))
)
"""What QEMU is started with, for I2C devices can't be plugged in later."""


def strokes(text: str, *, number_block: bool) -> Iterator[dict[str, Any]]:
    """Yield each key of digits and CR going down and up again, as ``input-send-event`` takes it."""
    for letter in text:
        name = {"\r": "ret"}.get(letter, letter)
        code = f"kp_{letter}" if number_block and letter.isdigit() else name
        for down in (True, False):
            key = {"type": "qcode", "data": code}
            yield {"type": "key", "data": {"down": down, "key": key}}
