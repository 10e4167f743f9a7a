"""The leaf's states and what is kept of it between two events; deadlines are state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from doorctl.door.leaf_messages import Alarm

GRACE_S = 1.0
"""How long after the strike has locked, or the leaf has closed, an opening is still explained.

Whoever pulls at the last moment is seen after the contact has settled, and a leaf that slams may
spring back before it latches.
"""


class LeafState(Enum):
    """What the door looks like from the corridor."""

    LOCKED = "locked"
    RELEASED = "released"
    OPEN = "open"
    HELD = "held"
    FORCED = "forced"


ALARMS = MappingProxyType({LeafState.HELD: Alarm.HELD, LeafState.FORCED: Alarm.FORCED})
"""The alarm of each state that has one."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The leaf as it stands; without a contact it is never more than locked or released.

    Args:
        state: what it looks like.
        contact: whether a contact is wired.
        free: whether the branch is staffed: nothing is forced then, and nothing held.
        fire: whether the fire input is active.
        told: whether the alarm of `HELD` or `FORCED` was raised; a fire keeps it back.
        released_s: when the latest release ends or ended, or the leaf was closed after it; None
            once it explains no opening.
        persons: how many were let in and have not opened yet.
        leaving: whether somebody inside was let out and has not opened yet.
        held_open_s: how long the leaf may stand open this time, if longer than the rules' own.
        warn_s: when the warning sounds; None when it has, or there is none.
        held_s: when the leaf has been open for too long; None where it may stand open.
    """

    state: LeafState = LeafState.LOCKED
    contact: bool = False
    free: bool = False
    fire: bool = False
    told: bool = False
    released_s: float | None = None
    persons: int = 0
    leaving: bool = False
    held_open_s: float = 0.0
    warn_s: float | None = None
    held_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `TimePassed` has to be told, monotonic seconds; None while nothing is pending."""
        if self.state is LeafState.RELEASED:
            return None if self.free else self.released_s
        if self.state is LeafState.LOCKED:
            return None if self.released_s is None else self.released_s + GRACE_S
        # Held and forced have neither: such an alarm is ended by the leaf alone.
        return self.held_s if self.warn_s is None else self.warn_s

    @property
    def sounding(self) -> bool:
        """Whether an alarm may be heard: one was raised, still stands, and there is no fire."""
        return self.told and not self.fire
