"""The strike: locked, released for a while, free for hours, or waiting for the other door.

All transitions stand in :data:`TRANSITIONS`; README.md beside it is drawn from it. The
controller drives the relay to the value of :attr:`Strike.energised` after each step. The strike
knows nothing of its own contact: no wire that is cut or bridged there can release it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any


class StrikeState(Enum):
    """Whether the leaf can be pushed open from outside."""

    LOCKED = "locked"
    WAITING = "waiting"
    RELEASED = "released"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Granted:
    """A patron may enter, or a person whom staff let in once.

    `wait_s` is how long the grant may wait for the lobby's other door to close; then it lapses.
    """

    now_s: float
    release_s: float
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Prolonged:
    """Companions follow a patron: `release_s` from `now_s` on, if the release still stands.

    Anybody may press that key, so it never releases a strike that is locked.
    """

    now_s: float
    release_s: float


@dataclass(frozen=True, slots=True)
class ExitPressed:
    """A person inside wants out: release for `release_s` seconds from `now_s` on, come what may."""

    now_s: float
    release_s: float


@dataclass(frozen=True, slots=True)
class Freed:
    """The branch is staffed from `now_s` on: the door stands free until :class:`Unfreed`."""

    now_s: float


@dataclass(frozen=True, slots=True)
class Unfreed:
    """The branch is no longer staffed from `now_s` on."""

    now_s: float


@dataclass(frozen=True, slots=True)
class HouseClosed:
    """Nobody comes in any more: a grant that waits lapses, a release keeps its time."""


@dataclass(frozen=True, slots=True)
class OtherDoorChanged:
    """The lobby's other door was opened or closed; sent only where the two are interlocked."""

    open: bool
    now_s: float


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is `now_s` (monotonic seconds)."""

    now_s: float


@dataclass(frozen=True, slots=True)
class ShutDown:
    """The daemon stops, for any reason."""


StrikeEvent = (
    Granted
    | Prolonged
    | ExitPressed
    | Freed
    | Unfreed
    | HouseClosed
    | OtherDoorChanged
    | TimePassed
    | ShutDown
)


@dataclass(frozen=True, slots=True)
class Strike:
    """The strike as it stands; `release_s` is how long the waiting grant's release will be.

    `until_s` is when `TimePassed` is due, monotonic seconds: the release ends, or the waiting grant
    lapses; None where nothing ends. In `FREE` it is the end of a pulse given meanwhile, which still
    runs when staff go.
    """

    state: StrikeState = StrikeState.LOCKED
    until_s: float | None = None
    release_s: float = 0.0
    other_open: bool = False

    @property
    def energised(self) -> bool:
        """Whether the relay has to be on."""
        return self.state is StrikeState.RELEASED or self.state is StrikeState.FREE

    def after(self, event: StrikeEvent) -> Strike:
        """Return the strike after an event; the one place where the table is used."""
        return TRANSITIONS[self.state, type(event)].step(self, event)


def _due(strike: Strike, now_s: float) -> bool:
    return strike.until_s is None or now_s >= strike.until_s


def _release(strike: Strike, event: Granted | Prolonged | ExitPressed) -> Strike:
    # A second patron's grant never shortens the first one's.
    ends_s = max(strike.until_s or 0.0, event.now_s + event.release_s)
    return Strike(StrikeState.RELEASED, ends_s, strike.release_s, strike.other_open)


def _release_or_wait(strike: Strike, event: Granted) -> Strike:
    if not strike.other_open:
        return _release(strike, event)
    lapses_s = event.now_s + event.wait_s
    return Strike(StrikeState.WAITING, lapses_s, event.release_s, other_open=True)


def _wait_on(strike: Strike, event: Granted) -> Strike:
    before = Strike(other_open=True) if _due(strike, event.now_s) else strike
    again = _release_or_wait(before, event)
    lapses_s = max(before.until_s or 0.0, event.now_s + event.wait_s)
    return replace(again, until_s=lapses_s, release_s=max(before.release_s, event.release_s))


def _let_out(strike: Strike, event: ExitPressed) -> Strike:
    # The exit's release serves the patron outside as well: nothing is left to wait for.
    return _release(Strike(other_open=strike.other_open), event)


def _prolong(strike: Strike, event: Granted) -> Strike:
    if not strike.other_open:
        return _release(strike, event)
    # While the other door is open, grants one after the other would keep both doors open. A grant
    # that comes when this release is over, but before its end was reported, waits like any other.
    over = _due(strike, event.now_s)
    return _release_or_wait(Strike(other_open=True), event) if over else strike


def _extend(strike: Strike, event: Prolonged) -> Strike:
    if _due(strike, event.now_s):
        return _locked(strike)
    return strike if strike.other_open else _release(strike, event)


def _keep_pulse(strike: Strike, event: Granted | Prolonged | ExitPressed) -> Strike:
    barred = strike.other_open and not isinstance(event, ExitPressed)
    return strike if barred else replace(_release(strike, event), state=StrikeState.FREE)


def _free(strike: Strike, _event: StrikeEvent) -> Strike:
    pulse_s = strike.until_s if strike.state is StrikeState.RELEASED else None
    return Strike(StrikeState.FREE, pulse_s, other_open=strike.other_open)


def _end_freedom(strike: Strike, event: Unfreed) -> Strike:
    if _due(strike, event.now_s):
        return _locked(strike)
    return replace(strike, state=StrikeState.RELEASED)


def _note_other(strike: Strike, event: OtherDoorChanged) -> Strike:
    return replace(strike, other_open=event.open)


def _release_when_closed(strike: Strike, event: OtherDoorChanged) -> Strike:
    if event.open:
        return strike
    if _due(strike, event.now_s):
        return Strike()
    return _release(Strike(), Granted(event.now_s, strike.release_s))


def _lock_when_due(strike: Strike, event: TimePassed) -> Strike:
    return _locked(strike) if _due(strike, event.now_s) else strike


def _forget_pulse_when_due(strike: Strike, event: TimePassed) -> Strike:
    return replace(strike, until_s=None) if _due(strike, event.now_s) else strike


def _lock(strike: Strike, _event: StrikeEvent) -> Strike:
    return _locked(strike)


def _locked(strike: Strike) -> Strike:
    return Strike(other_open=strike.other_open)


def _stay(strike: Strike, _event: StrikeEvent) -> Strike:
    return strike


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a state, and every state that it can lead to."""

    step: Callable[[Strike, Any], Strike]
    to: tuple[StrikeState, ...]


_L, _W, _R, _F = (
    StrikeState.LOCKED,
    StrikeState.WAITING,
    StrikeState.RELEASED,
    StrikeState.FREE,
)

TRANSITIONS: Mapping[tuple[StrikeState, type[StrikeEvent]], Transition] = MappingProxyType(
    {
        (_L, Granted): Transition(_release_or_wait, (_R, _W)),
        (_L, Prolonged): Transition(_stay, (_L,)),
        (_L, ExitPressed): Transition(_release, (_R,)),
        (_L, Freed): Transition(_free, (_F,)),
        (_L, Unfreed): Transition(_stay, (_L,)),
        (_L, HouseClosed): Transition(_stay, (_L,)),
        (_L, OtherDoorChanged): Transition(_note_other, (_L,)),
        (_L, TimePassed): Transition(_stay, (_L,)),
        (_L, ShutDown): Transition(_lock, (_L,)),
        (_W, Granted): Transition(_wait_on, (_W,)),
        (_W, Prolonged): Transition(_stay, (_W,)),
        (_W, ExitPressed): Transition(_let_out, (_R,)),
        (_W, Freed): Transition(_free, (_F,)),
        (_W, Unfreed): Transition(_stay, (_W,)),
        (_W, HouseClosed): Transition(_lock, (_L,)),
        (_W, OtherDoorChanged): Transition(_release_when_closed, (_W, _R, _L)),
        (_W, TimePassed): Transition(_lock_when_due, (_W, _L)),
        (_W, ShutDown): Transition(_lock, (_L,)),
        (_R, Granted): Transition(_prolong, (_R, _W)),
        (_R, Prolonged): Transition(_extend, (_R, _L)),
        (_R, ExitPressed): Transition(_release, (_R,)),
        (_R, Freed): Transition(_free, (_F,)),
        (_R, Unfreed): Transition(_stay, (_R,)),
        (_R, HouseClosed): Transition(_stay, (_R,)),
        (_R, OtherDoorChanged): Transition(_note_other, (_R,)),
        (_R, TimePassed): Transition(_lock_when_due, (_R, _L)),
        (_R, ShutDown): Transition(_lock, (_L,)),
        (_F, Granted): Transition(_keep_pulse, (_F,)),
        (_F, Prolonged): Transition(_keep_pulse, (_F,)),
        (_F, ExitPressed): Transition(_keep_pulse, (_F,)),
        (_F, Freed): Transition(_stay, (_F,)),
        (_F, Unfreed): Transition(_end_freedom, (_R, _L)),
        (_F, HouseClosed): Transition(_stay, (_F,)),
        (_F, OtherDoorChanged): Transition(_note_other, (_F,)),
        (_F, TimePassed): Transition(_forget_pulse_when_due, (_F,)),
        (_F, ShutDown): Transition(_lock, (_L,)),
    }
)
