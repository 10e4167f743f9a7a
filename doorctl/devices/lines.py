"""The lines of a door, of whatever kind: what a device posts, and what doors want of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from doorctl.core.errors import DeviceError
from doorctl.door.lamps import Lamps

READER, KEYPAD = "reader", "keypad"
"""A door's lines, by the tables that describe them."""

NO_NUMBER = b"?\r"
"""What a reader of bits sends of a card whose bits are no number: `cards/identify.py` takes it for
garbage."""


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Raw bytes of a line; personal data, so never shown.

    Line :data:`READER`: what a serial reader sends; of a USB scanner and of an OSDP card text and
    CR. Line :data:`KEYPAD`: a byte for each key.

    `read_s` is when they were read, monotonic, so that a loop that was held up does not take one
    swipe for two; None where nobody has noted it.
    """

    line: str
    data: bytes = field(repr=False)
    read_s: float | None = None


@dataclass(frozen=True, slots=True)
class LineConnected:
    """A line was opened and what lay in its buffers was dropped."""

    line: str


@dataclass(frozen=True, slots=True)
class LineLost:
    """A line could not be opened or was unplugged; it is tried again by itself."""

    line: str
    why: str


LineEvent = BytesReceived | LineConnected | LineLost

MOST_PENDING = 256
"""A device reads no further while more events wait; the loop drops a flood before that."""


class Line(Protocol):
    """A device that posts the events of one line, or of two, from a thread of its own.

    `tests/devices/line_contract.py` holds what each kind must keep.
    """

    @property
    def alive(self) -> bool:
        """Whether the thread runs, even where the device is missing."""

    def start(self) -> None:
        """Begin to look for the device; called once."""

    def stop(self) -> None:
        """Let go of the device; nothing is posted afterwards. Idempotent, from any thread."""


class Signals(Protocol):
    """Lamps and buzzer at the reader. One thread."""

    def show(self, lamps: Lamps) -> None:
        """Switch all of them to the given state, and do not wait for it.

        Raises DeviceError: one of them can't be driven; the others are switched all the same.
        """


@dataclass(frozen=True, slots=True)
class SeveralSignals:
    """Several ends that show the same, such as pins and an OSDP reader's own lamps."""

    ends: Sequence[Signals]

    def show(self, lamps: Lamps) -> None:
        """Show it at each end; raises one DeviceError about all that failed."""
        failed: list[DeviceError] = []
        for end in self.ends:
            try:
                end.show(lamps)
            except DeviceError as error:
                failed.append(error)
        if failed:
            raise DeviceError("; ".join(map(str, failed))) from failed[0]
