"""What the leaf is told, and what it asks to be done: the words between contact, strike and log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from doorctl.door.strike import Freed, ShutDown, TimePassed, Unfreed


class Alarm(Enum):
    """What is wrong with the leaf; the value is the alarm's `kind`."""

    FORCED = "door_forced"
    HELD = "door_held"


@dataclass(frozen=True, slots=True)
class LeafRules:
    """What the branch wants of its door.

    Args:
        held_open_s: how long the leaf may stand open.
        prewarn_s: how long before that the warning sounds; 0 for no warning.
        exit_is_free: True where no exit button is wired. An opening from inside by the mechanical
            handle then looks like a forced one, so an opening that nobody can explain counts as
            somebody leaving: such a door reports no `door_forced`.
    """

    held_open_s: float
    prewarn_s: float = 0.0
    exit_is_free: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon begins; `open` is the contact's level, None where no contact is wired."""

    open: bool | None
    now_s: float


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """The settled contact says that the leaf was opened or closed."""

    open: bool
    now_s: float


@dataclass(frozen=True, slots=True)
class Released:
    """The strike has been released, or once more while it was.

    Args:
        now_s: when, monotonic seconds.
        until_s: when it locks again.
        persons: how many may enter, companions included; 0 for a release from inside.
        held_open_s: how long the leaf may stand open for them, for a patron who needs more time;
            it is never less than the rules' own.
    """

    now_s: float
    until_s: float
    persons: int = 1
    held_open_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Relocked:
    """The strike has been locked."""

    now_s: float


@dataclass(frozen=True, slots=True)
class FireChanged:
    """The fire input was activated or went back. The way out never depends on it."""

    active: bool


LeafEvent = (
    Started
    | ContactChanged
    | Released
    | Relocked
    | Freed
    | Unfreed
    | FireChanged
    | TimePassed
    | ShutDown
)


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """Something is wrong from now on: tell it and sound it, once."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """What :class:`AlarmRaised` told is over; never without it, never twice."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class HeldWarned:
    """The leaf will have been open for too long soon: sound it at the door."""


@dataclass(frozen=True, slots=True)
class NoEntry:
    """Somebody was let in and nobody opened."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody came in: the leaf was opened, or stood open, after a grant to `persons`."""

    persons: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody went out: the leaf was opened from inside."""

    now_s: float


@dataclass(frozen=True, slots=True)
class Passed:
    """The leaf was opened, and nobody knows in which direction somebody went."""

    now_s: float


@dataclass(frozen=True, slots=True)
class FireReported:
    """The fire input has changed: put it on record."""

    active: bool


LeafEffect = (
    AlarmRaised | AlarmCleared | HeldWarned | NoEntry | Entered | Left | Passed | FireReported
)
