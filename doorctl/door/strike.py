"""The strike: locked or released, with the end of a release held as state.

All transitions stand in :data:`TRANSITIONS`; the README's diagram is generated from it. The
controller drives the relay to whatever :attr:`Strike.energised` says after each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class StrikeState(Enum):
    """Whether the leaf can be pushed open from outside."""

    LOCKED = "locked"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Granted:
    """Somebody may enter; release for `release_s` seconds from `now_s` on."""

    now_s: float
    release_s: float


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is `now_s` (monotonic seconds)."""

    now_s: float


@dataclass(frozen=True, slots=True)
class ShutDown:
    """The daemon stops, for whatever reason."""


StrikeEvent = Granted | TimePassed | ShutDown


@dataclass(frozen=True, slots=True)
class Strike:
    """The strike as it stands; `until_s` is None while locked."""

    state: StrikeState = StrikeState.LOCKED
    until_s: float | None = None

    @property
    def energised(self) -> bool:
        """Whether the relay has to be on."""
        return self.state is StrikeState.RELEASED

    def after(self, event: StrikeEvent) -> Strike:
        """Return the strike after an event; the one place where the table is used."""
        return TRANSITIONS[self.state, type(event)].step(self, event)


def _release(strike: Strike, event: StrikeEvent) -> Strike:
    assert isinstance(event, Granted)  # noqa: S101 - the table's key says so
    # A second patron's grant never shortens the first one's.
    until = max(strike.until_s or 0.0, event.now_s + event.release_s)
    return Strike(StrikeState.RELEASED, until)


def _relock_when_due(strike: Strike, event: StrikeEvent) -> Strike:
    assert isinstance(event, TimePassed)  # noqa: S101 - the table's key says so
    due = strike.until_s is None or event.now_s >= strike.until_s
    return Strike() if due else strike


def _lock(_strike: Strike, _event: StrikeEvent) -> Strike:
    return Strike()


def _stay(strike: Strike, _event: StrikeEvent) -> Strike:
    return strike


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a state, and every state that it can lead to."""

    step: Callable[[Strike, StrikeEvent], Strike]
    to: tuple[StrikeState, ...]


_L, _R = StrikeState.LOCKED, StrikeState.RELEASED

TRANSITIONS: Mapping[tuple[StrikeState, type[StrikeEvent]], Transition] = MappingProxyType(
    {
        (_L, Granted): Transition(_release, (_R,)),
        (_L, TimePassed): Transition(_stay, (_L,)),
        (_L, ShutDown): Transition(_lock, (_L,)),
        (_R, Granted): Transition(_release, (_R,)),
        (_R, TimePassed): Transition(_relock_when_due, (_R, _L)),
        (_R, ShutDown): Transition(_lock, (_L,)),
    }
)
