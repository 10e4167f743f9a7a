"""Contact, exit button and fire input: which changes of their levels count.

A single edge does not count, because relays, radios and welding send spikes of a millisecond, and
a contact bounces. A new level counts once it was seen for :data:`SETTLE_S`, and each moment of the
old level in between takes :data:`DRAIN` times as much of that back. So hum and chatter never add
up, and a press with a loose wire still does, well before the 400 ms of EN 60839-11-1 table 2, row
24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

SETTLE_S = 0.05
"""How long a new level has to be seen; a relay's contact bounces for 10 ms at the most."""

DRAIN = 4.0
"""How fast the old level takes back: hum that is on for less than 80 % of the time is ignored."""

PROBE_S = SETTLE_S / 4
"""How soon to look again at a level that is not settled.

12.5 ms are 5/8 of a period of 50 Hz, 3/4 of 60 Hz and 5/4 of 100 Hz: looks at hum meet it on and
off, so that it does not seem steady even where edges are missed.
"""


class Input(Enum):
    """The inputs that may be wired to the door, by their names among the `Levels`."""

    CONTACT = "contact_open"
    EXIT_BUTTON = "exit_pressed"
    FIRE = "fire"
    OTHER_DOOR = "other_door_open"


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input has settled on the other level: True is open, pressed or burning."""

    input: Input
    active: bool
    now_s: float


@dataclass(frozen=True, slots=True)
class Settling:
    """One input on its way to another level.

    `active` is the level that counts, `level` the latest sample, `seen_s` its time, monotonic.
    `gathered_s` is how long the new level was seen, less what the old one has taken back.
    """

    active: bool
    level: bool
    seen_s: float
    gathered_s: float = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When to look again, monotonic seconds; None while all is quiet."""
        quiet = self.level is self.active and not self.gathered_s
        return None if quiet else self.seen_s + PROBE_S

    def sampled(self, level: bool, now_s: float) -> Settling:
        """Return the input after a look at its level; a look at an earlier time adds nothing."""
        elapsed_s = max(0.0, now_s - self.seen_s)
        seen = replace(self, level=level, seen_s=max(now_s, self.seen_s))
        if self.level is self.active:
            gathered_s = max(0.0, self.gathered_s - DRAIN * elapsed_s)
        elif level is self.active:
            # It is unknown when the level went back, so that time counts for neither level.
            gathered_s = self.gathered_s
        else:
            gathered_s = self.gathered_s + elapsed_s
        if gathered_s >= SETTLE_S:
            return replace(seen, active=level, gathered_s=0.0)
        return replace(seen, gathered_s=gathered_s)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All wired inputs; an unwired input never changes.

    Levels are True for active, None where an input is not wired or can't be read.
    """

    wired: Mapping[Input, Settling] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def started(cls, levels: Mapping[Input, bool | None], now_s: float) -> Inputs:
        """Take the levels at the start as they are; nothing has changed yet."""
        at_first = {
            name: Settling(level, level, now_s)
            for name, level in levels.items()
            if level is not None
        }
        return cls(MappingProxyType(at_first))

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`sampled` has to be called at the latest; None while all is quiet."""
        pending = (wired.deadline_s for wired in self.wired.values())
        return min((at for at in pending if at is not None), default=None)

    def sampled(
        self, levels: Mapping[Input, bool | None], now_s: float
    ) -> tuple[Inputs, tuple[InputChanged, ...]]:
        """Look at the inputs, at each wake-up and at the deadline; return each change once.

        An input whose level is None stays as it was. `now_s` is monotonic.
        """
        after = {name: _looked(pin, levels.get(name), now_s) for name, pin in self.wired.items()}
        changes = tuple(
            InputChanged(name, pin.active, now_s)
            for name, pin in after.items()
            if pin.active is not self.wired[name].active
        )
        return Inputs(MappingProxyType(after)), changes


def _looked(pin: Settling, level: bool | None, now_s: float) -> Settling:
    return pin if level is None else pin.sampled(level, now_s)


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
