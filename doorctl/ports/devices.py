"""Ports to the devices at the door: strike, lamps, panel, serial lines, contacts and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from doorctl.access.panel import PanelState
from doorctl.door.lamps import Lamps


class Relay(Protocol):
    """The strike's relay. One thread; both calls are idempotent.

    Raises:
        DeviceError: the output could not be driven.
    """

    def energise(self) -> None:
        """Let the door be opened."""

    def de_energise(self) -> None:
        """Lock the door."""


class Signals(Protocol):
    """Lamps and buzzer at the reader. One thread; an output that is not wired is left out.

    Raises:
        DeviceError: an output could not be driven.
    """

    def show(self, lamps: Lamps) -> None:
        """Switch all of them to the given state."""


class Panel(Protocol):
    """The screen at the door, as the loop sees it. Never blocks, never raises."""

    def show(self, state: PanelState) -> None:
        """Show this from now on; a page that waits learns of it when it can."""


@dataclass(frozen=True, slots=True)
class PanelView:
    """What the screen shows, and a number that changes with it."""

    seq: int
    state: PanelState


class PanelDoor(Protocol):
    """The door, as the screen's page sees it. Thread-safe.

    Raises:
        NotAnsweringError: the door doesn't run, or it gave no answer in time.
        StoreError: it answered that it could not do it.
    """

    def look(self, after: int) -> PanelView:
        """Return the view as soon as its number is not `after`, or after some 20 seconds.

        `after` is the number of the view that is known; 0 for none.
        """

    def press(self, key: str, attempt: int) -> None:
        """Press a key, ``0``-``9``, ``#`` or ``*``; it is stored nowhere.

        `attempt` is the one of the view in which it was pressed; for any other the key is void.

        Raises:
            InputError: that is no key, or the screen has none.
        """


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Raw bytes of a serial line; personal data, so never shown."""

    line: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LineConnected:
    """A serial line was opened and what lay in its buffers was dropped."""

    line: str


@dataclass(frozen=True, slots=True)
class LineLost:
    """A serial line could not be opened or was unplugged; it is tried again by itself."""

    line: str
    why: str


LineEvent = BytesReceived | LineConnected | LineLost


@dataclass(frozen=True, slots=True)
class Levels:
    """What the door's inputs say at one moment, unfiltered; None for an input that is not wired.

    "Open" means that the leaf is not in its frame; the other door is the lobby's other leaf.
    `failing` says which pins can't be read and why; each has its level of `IN_DOUBT`.
    """

    contact_open: bool | None = None
    exit_pressed: bool | None = None
    fire: bool | None = None
    other_door_open: bool | None = None
    failing: str | None = None


IN_DOUBT = Levels(contact_open=True, exit_pressed=False, fire=True, other_door_open=True)
"""The levels of a cut wire or a pin that can't be read: they raise an alarm and open nothing."""


class Inputs(Protocol):
    """Door contact, exit button, fire alarm and the other door's contact. One thread.

    A wake-up tells that a level may have changed. One can be lost, so ask every second as well.
    """

    def levels(self) -> Levels:
        """Read all of them now; never raises and filters nothing: a bounce shows as it is."""


class Outputs(Protocol):
    """Outputs that follow the hours, by name: light, alarm arming, announcement. Idempotent.

    Raises:
        DeviceError: there is none of that name or it could not be switched; the others are as they
            were.
    """

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one of them."""
