"""Devices at the door, and the library system, which can be asked about an unknown card."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from doorctl.access.messages import LibraryAnswer
from doorctl.access.panel import PanelState
from doorctl.core.masked import Identifier, Pin
from doorctl.door.lamps import Lamps
from doorctl.ports import SealedRow


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
        """Show this from now on; a waiting page gets it as soon as it can."""


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


@dataclass(frozen=True, slots=True)
class LibraryPatron:
    """What the library system knows of a patron, as far as the door may know it.

    `patron_ref` is its opaque number, as text; the same as in a feed where both have one. `active`
    says that the identifier in question is in force.
    """

    patron_ref: str
    resident: bool
    active: bool
    birthday: date | None = field(repr=False)
    blocks: frozenset[str]
    valid_until: date | None
    hold_from: date | None
    hold_until: date | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class LibraryReply:
    """The library system's answer; `patron` only where it is yes and the row was wanted."""

    answer: LibraryAnswer
    patron: LibraryPatron | None = None


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    Raises:
        LibrarySystemError: it was not reached, or gave no answer that can be read in time;
            `spent` says whether it may have counted a wrong PIN.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never says yes to an empty PIN, to an answer that leaves anything open, or by default.
        The answer is ``YES``, ``NO`` or, where the library system has locked the patron out,
        ``WAITS``.
        """


class Library(Protocol):
    """The library system as the door sees it: another process asks it. One thread.

    It never raises: a failure behind it does not concern the door.
    """

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by its row key and its number; waits a second or two at the most."""

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have the patron cache's writer keep what was learnt; see `PatronWriter.keep`."""
