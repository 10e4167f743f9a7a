"""Kinds of line at a real door: which devices stand in for reader and keypad, and what is set.

A kind's devices have the methods of a `Plug`, and what is sent to one arrives as from a reader or
keypad of that kind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from doorctl.extras.extra import extra_named
from tests.fakes.keyboard import KeyboardPlug
from tests.fakes.osdp_peer import KEY, OsdpPeer, cable

if TYPE_CHECKING:
    from doorctl.demo.door import Plug

MOST_OF_A_CARD = 64
"""Bytes that an OSDP reader tells of one card."""


class OsdpPlug:
    """A reader with keypad on an OSDP cable, as seen from its card side; libosdp's own device."""

    def __init__(self, name: Path) -> None:
        self.name = name
        self._stack = ExitStack()
        self.peer: OsdpPeer | None = None

    @property
    def is_in(self) -> bool:
        """Whether it is wired."""
        return self.peer is not None

    def put_in(self, stored: bytes = b"") -> None:
        """Wire it; idempotent. It has read a card already, if one is `stored`."""
        if self.peer is None:
            end = self._stack.enter_context(cable(self.name))
            self.peer = OsdpPeer(end)
            self._stack.callback(self.peer.stop)
        if stored:
            self.send(stored)

    def pull(self) -> None:
        """Cut the cable; idempotent."""
        self.peer = None
        self._stack.close()

    def send(self, data: bytes) -> None:
        """Read a card: the text that a serial reader ends with CR or LF, of a stripe track 2."""
        assert self.peer is not None, "send() on a device that is out"
        track_1, mark, track_2 = data.rstrip(b"\r\n").partition(b"?;")
        text = b";" + track_2 if mark else track_1
        assert len(text) <= MOST_OF_A_CARD, "no OSDP reader says so much of a card"
        self.peer.swipe(text)


class OsdpKeys:
    """The keypad of that reader."""

    def __init__(self, reader: OsdpPlug) -> None:
        self._reader = reader
        self.name = reader.name

    @property
    def is_in(self) -> bool:
        """As the reader."""
        return self._reader.is_in

    def put_in(self, stored: bytes = b"") -> None:
        """Wire the reader."""
        self._reader.put_in()
        if stored:
            self.send(stored)

    def pull(self) -> None:
        """Cut the reader's cable."""
        self._reader.pull()

    def send(self, data: bytes) -> None:
        """Press keys."""
        assert self._reader.peer is not None, "send() on a device that is out"
        self._reader.peer.press(data.decode())


class Cabled(Protocol):
    """A door that was not started, as a test or the benchmark has it."""

    directory: Path
    reader: Plug
    keypad: Plug
    most_of_a_card: int

    def configured(self, *overrides: str) -> object:
        """Lay more over the configuration."""


def as_serial(_door: Cabled) -> None:
    """Leave a door as it is."""


def as_usb(door: Cabled) -> None:
    """Give a door two keyboards; its process has to be under what `built` returns of them."""
    door.reader = KeyboardPlug(door.directory / "reader")
    door.keypad = KeyboardPlug(door.directory / "keypad")
    door.configured("reader.kind=usb", "keypad.kind=usb")


def as_osdp(door: Cabled) -> None:
    """Give a door one reader with keypad, whose key both have."""
    file = door.directory / "reader.key"
    file.touch(0o600)
    file.write_bytes(KEY)
    reader = OsdpPlug(door.directory / "reader")
    door.reader, door.keypad = cast("Plug", reader), cast("Plug", OsdpKeys(reader))
    door.configured("reader.kind=osdp", f"reader.osdp_key_file={file}")
    door.configured("keypad.kind=osdp", "keypad.port=")
    door.most_of_a_card = MOST_OF_A_CARD


def _is_here(kind: str) -> bool:
    extra = extra_named(kind)
    return kind == "serial" or (extra is not None and extra.lines is not None)


CABLED: MappingProxyType[str, Callable[[Cabled], None]] = MappingProxyType(
    {"serial": as_serial, "usb": as_usb, "osdp": as_osdp}
)
"""Kind -> what gives a door that was not started its devices."""

KINDS = tuple(filter(_is_here, CABLED))
"""The kinds that this installation has."""
