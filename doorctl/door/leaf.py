"""The leaf as its contact shows it: locked, released, open, held open or forced.

All transitions stand in :data:`TRANSITIONS`; :func:`after` is the one place that uses it, and
README.md beside it is drawn from it. The leaf drives nothing: it takes changes of contact, strike
and fire input, and returns what has to be reported. It never decides who gets in or out.

"No entry" is an event and no state: after an unused release the leaf is locked like any other, and
nothing would end such a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Protocol

from doorctl.door.strike import Freed, ShutDown, TimePassed, Unfreed


class Alarm(Enum):
    """A fault of the leaf; the value is the alarm's `kind`."""

    FORCED = "door_forced"
    HELD = "door_held"


class LeafRules(Protocol):
    """The branch's rules for its door: the configuration's table [door].

    The warning sounds `prewarn_s` before the leaf has been open for `held_open_s`; 0 for no
    warning.

    Where no exit button is wired, `exit_is_free`: an opening from inside by the mechanical handle
    then looks like a forced one, so an unexplained opening counts as somebody leaving. Such a door
    reports no `door_forced`.
    """

    @property
    def held_open_s(self) -> float:
        """How long the leaf may stand open, in seconds."""

    @property
    def prewarn_s(self) -> float:
        """How long before that the warning sounds, in seconds."""

    @property
    def exit_is_free(self) -> bool:
        """Whether an unexplained opening counts as somebody leaving."""


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
    """The strike has been released, or its release was renewed; times are monotonic seconds.

    Of the `persons` that may enter, companions included, there are 0 for a release from inside.
    `held_open_s` is how long the leaf may stand open for a patron who needs more time; it is never
    less than the rules' own.
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
    """A fault begins: report it and sound it, once."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """The fault of :class:`AlarmRaised` is over; never without it, never twice."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class HeldWarned:
    """The leaf will soon have been open for too long: sound a warning at the door."""


@dataclass(frozen=True, slots=True)
class NoEntry:
    """A patron was let in and nobody opened the door."""


@dataclass(frozen=True, slots=True)
class Entered:
    """`persons` came in: the leaf was opened, or stood open, after a grant to them."""

    persons: int


@dataclass(frozen=True, slots=True)
class Left:
    """A person went out: the leaf was opened from inside."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The leaf was opened, and the direction is unknown."""


@dataclass(frozen=True, slots=True)
class FireReported:
    """The fire input has changed: put it on record."""

    active: bool


LeafEffect = (
    AlarmRaised | AlarmCleared | HeldWarned | NoEntry | Entered | Left | Passed | FireReported
)

GRACE_S = 1.0
"""How long after the strike has locked, or the leaf has closed, an opening is still explained.

A patron who pulls at the last moment is seen after the contact has settled, and a leaf that slams
may spring back before it latches.
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
        free: whether the branch is staffed: then nothing is forced, and nothing held.
        raised: whether the alarm of `HELD` or `FORCED` was raised; a fire keeps it back.
        released_s: when the latest release ends or ended, or the leaf was closed after it; None
            once it explains no opening.
        persons: how many were let in and have not opened yet; `leaving`: somebody was let out.
        held_open_s: how long the leaf may stand open this time, if longer than the rules' own.
        warn_s: when the warning sounds; None when it has, or there is none.
        held_s: when the leaf has been open for too long; None where it may stand open.
    """

    state: LeafState = LeafState.LOCKED
    contact: bool = False
    free: bool = False
    fire: bool = False
    raised: bool = False
    released_s: float | None = None
    persons: int = 0
    leaving: bool = False
    held_open_s: float = 0.0
    warn_s: float | None = None
    held_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `TimePassed` is due, monotonic seconds; None while nothing is pending."""
        if self.state is LeafState.RELEASED:
            return None if self.free else self.released_s
        if self.state is LeafState.LOCKED:
            return None if self.released_s is None else self.released_s + GRACE_S
        # Held and forced have neither deadline: only the leaf itself ends such an alarm.
        return self.held_s if self.warn_s is None else self.warn_s

    @property
    def sounding(self) -> bool:
        """Whether an alarm may be heard: one was raised, still stands, and there is no fire."""
        return self.raised and not self.fire


Step = tuple[Leaf, tuple[LeafEffect, ...]]
Handler = Callable[[Leaf, Any, LeafRules], Step]


def start(leaf: Leaf, event: Started, rules: LeafRules) -> Step:
    """Begin with the leaf as the contact shows it; an open one is neither forced nor yet held.

    An alarm that stood before stays while the leaf is open, else it is cleared.
    """
    if event.open and leaf.state in ALARMS:
        return leaf, ()
    begun = Leaf(contact=event.open is not None, fire=leaf.fire)
    return (_opened(begun, event.now_s, rules) if event.open else begun), _clears(leaf)


def await_opening(leaf: Leaf, event: Released, _rules: LeafRules) -> Step:
    """Expect the person who was let in or out to open; a free door expects nobody."""
    noted = _noted(leaf, event)
    if leaf.free:
        return noted, ()
    awaited = replace(
        noted,
        state=LeafState.RELEASED,
        persons=leaf.persons + event.persons,
        leaving=leaf.leaving or not event.persons,
    )
    return awaited, ()


def walk_through(leaf: Leaf, event: Released, rules: LeafRules) -> Step:
    """Count the persons who are let in or out while the leaf stands open."""
    noted = _noted(leaf, event)
    if leaf.free:
        return noted, ()
    if leaf.state is LeafState.OPEN:
        # The last person let through has the whole time.
        noted = _opened(noted, event.now_s, rules)
    return noted, _passages(event.persons, leaving=not event.persons)


def _noted(leaf: Leaf, event: Released) -> Leaf:
    return replace(
        leaf,
        released_s=max(leaf.released_s or 0.0, event.until_s),
        held_open_s=max(leaf.held_open_s, event.held_open_s),
    )


def relock(leaf: Leaf, event: Relocked, _rules: LeafRules) -> Step:
    """Lock when the strike does; a free door locks only at the end of its freedom."""
    return (leaf if leaf.free else _locked(leaf, event.now_s)), ()


def note_relock(leaf: Leaf, event: Relocked, _rules: LeafRules) -> Step:
    """Note that the release is over, where the leaf shows something else."""
    if leaf.released_s is None:
        return leaf, ()
    return replace(leaf, released_s=min(leaf.released_s, event.now_s)), ()


def end_release(leaf: Leaf, event: TimePassed, _rules: LeafRules) -> Step:
    """Lock at the end of the release, even if the strike did not report it."""
    return _locked(leaf, event.now_s), ()


def _locked(leaf: Leaf, now_s: float) -> Leaf:
    if not leaf.contact:
        return Leaf(fire=leaf.fire)
    ended_s = now_s if leaf.released_s is None else min(leaf.released_s, now_s)
    return replace(leaf, state=LeafState.LOCKED, free=False, released_s=ended_s)


def end_grace(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Stop waiting for persons who were let in, and report it if nobody opened."""
    reports = (NoEntry(),) if leaf.persons else ()
    return Leaf(contact=leaf.contact, fire=leaf.fire), reports


def open_or_force(leaf: Leaf, event: ContactChanged, rules: LeafRules) -> Step:
    """Open a locked leaf: explained by a recent release or by the free exit, or else forced."""
    if leaf.released_s is not None:
        return open_leaf(leaf, event, rules)
    if not event.open or not leaf.contact:
        return leaf, ()
    if rules.exit_is_free:
        return _opened(leaf, event.now_s, rules), (Left(),)
    forced, reports = _alarmed(leaf, LeafState.FORCED)
    return forced, (*reports, Passed())


def open_leaf(leaf: Leaf, event: ContactChanged, rules: LeafRules) -> Step:
    """Open the leaf for the persons who were let in or out."""
    if not event.open or not leaf.contact:
        return leaf, ()
    passages = _passages(leaf.persons, leaving=leaf.leaving)
    return _opened(replace(leaf, persons=0, leaving=False), event.now_s, rules), passages


def _opened(leaf: Leaf, now_s: float, rules: LeafRules) -> Leaf:
    held_s = None if leaf.free else now_s + max(rules.held_open_s, leaf.held_open_s)
    warn_s = None if held_s is None or not rules.prewarn_s else held_s - rules.prewarn_s
    return replace(leaf, state=LeafState.OPEN, warn_s=warn_s, held_s=held_s)


def _passages(persons: int, *, leaving: bool) -> tuple[LeafEffect, ...]:
    entered = (Entered(persons),) if persons else ()
    left = (Left(),) if leaving else ()
    return (*entered, *left) or (Passed(),)


def close(leaf: Leaf, event: ContactChanged, _rules: LeafRules) -> Step:
    """Close the leaf and end its alarm; a release that is not over still stands.

    One that was over before a forced opening explains no later one.
    """
    if event.open:
        return leaf, ()
    shut = replace(leaf, state=LeafState.RELEASED, raised=False, warn_s=None, held_s=None)
    if leaf.free or _releases(leaf, event.now_s):
        return shut, _clears(leaf)
    locked = replace(shut, state=LeafState.LOCKED, released_s=event.now_s)
    if leaf.state is LeafState.FORCED:
        locked = replace(locked, released_s=None, held_open_s=0.0)
    return locked, _clears(leaf)


def _releases(leaf: Leaf, now_s: float) -> bool:
    return leaf.released_s is not None and now_s < leaf.released_s


def warn_or_hold(leaf: Leaf, event: TimePassed, _rules: LeafRules) -> Step:
    """Warn, or find the leaf held open; a late warning is left out."""
    if leaf.held_s is not None and event.now_s >= leaf.held_s:
        return _alarmed(leaf, LeafState.HELD)
    return replace(leaf, warn_s=None), (() if leaf.fire else (HeldWarned(),))


def _alarmed(leaf: Leaf, state: LeafState) -> Step:
    alarmed = replace(leaf, state=state, raised=not leaf.fire, warn_s=None, held_s=None)
    return alarmed, (() if leaf.fire else (AlarmRaised(ALARMS[state]),))


def _clears(leaf: Leaf) -> tuple[LeafEffect, ...]:
    return (AlarmCleared(ALARMS[leaf.state]),) if leaf.raised else ()


def free(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Let everybody pass and the leaf stand open, which is no alarm in staffed hours.

    Persons who were let in before need no opening of their own.
    """
    closed = leaf.state in {LeafState.LOCKED, LeafState.RELEASED}
    state = LeafState.RELEASED if closed else LeafState.OPEN
    freed = Leaf(state, contact=leaf.contact, free=True, fire=leaf.fire, released_s=leaf.released_s)
    return freed, _clears(leaf)


def unfree(leaf: Leaf, event: Unfreed, _rules: LeafRules) -> Step:
    """Lock when staff have gone, unless an earlier pulse still runs."""
    if not leaf.free or _releases(leaf, event.now_s):
        return replace(leaf, free=False), ()
    return _locked(replace(leaf, released_s=None), event.now_s), ()


def unfree_open(leaf: Leaf, event: Unfreed, rules: LeafRules) -> Step:
    """Start the time that an open leaf has, when staff have gone."""
    if not leaf.free:
        return leaf, ()
    return _opened(replace(leaf, free=False), event.now_s, rules), ()


def note_fire(leaf: Leaf, event: FireChanged, _rules: LeafRules) -> Step:
    """Put the fire input on record; when it goes back, report the alarm that it kept back."""
    if event.active is leaf.fire:
        return leaf, ()
    noted, report = replace(leaf, fire=event.active), FireReported(event.active)
    if noted.fire or noted.raised or noted.state not in ALARMS:
        return noted, (report,)
    alarmed, reports = _alarmed(noted, noted.state)
    return alarmed, (report, *reports)


def shut_down(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Stop without deadlines and expect nobody; an alarm stands, although nobody looks any more."""
    state = LeafState.LOCKED if leaf.state is LeafState.RELEASED else leaf.state
    return Leaf(state, contact=leaf.contact, fire=leaf.fire, raised=leaf.raised), ()


def stay(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Do nothing."""
    return leaf, ()


def after(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Return the leaf as it stands after `event`, and what has to be reported.

    A deadline counts for every event that has a time, not for `TimePassed` alone: a loop that was
    held up may take the contact before it lets time pass.
    """
    reports: tuple[LeafEffect, ...] = ()
    if not isinstance(event, FireChanged | ShutDown):
        leaf, reports = _caught_up(leaf, TimePassed(event.now_s), rules)
    if isinstance(event, TimePassed):
        return leaf, reports
    leaf, effects = TRANSITIONS[leaf.state, type(event)].step(leaf, event, rules)
    return leaf, (*reports, *effects)


def _caught_up(leaf: Leaf, now: TimePassed, rules: LeafRules) -> Step:
    reports: tuple[LeafEffect, ...] = ()
    while leaf.deadline_s is not None and now.now_s >= leaf.deadline_s:
        leaf, effects = TRANSITIONS[leaf.state, TimePassed].step(leaf, now, rules)
        reports = (*reports, *effects)
    return leaf, reports


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a state, and every state that it can lead to."""

    step: Handler
    to: tuple[LeafState, ...]


_L, _R, _O = LeafState.LOCKED, LeafState.RELEASED, LeafState.OPEN
_H, _F = LeafState.HELD, LeafState.FORCED

TRANSITIONS: Mapping[tuple[LeafState, type[LeafEvent]], Transition] = MappingProxyType(
    {
        (_L, Started): Transition(start, (_L, _O)),
        (_L, ContactChanged): Transition(open_or_force, (_L, _O, _F)),
        (_L, Released): Transition(await_opening, (_R,)),
        (_L, Relocked): Transition(note_relock, (_L,)),
        (_L, Freed): Transition(free, (_R,)),
        (_L, Unfreed): Transition(stay, (_L,)),
        (_L, FireChanged): Transition(note_fire, (_L,)),
        (_L, TimePassed): Transition(end_grace, (_L,)),
        (_L, ShutDown): Transition(shut_down, (_L,)),
        (_R, Started): Transition(start, (_L, _O)),
        (_R, ContactChanged): Transition(open_leaf, (_R, _O)),
        (_R, Released): Transition(await_opening, (_R,)),
        (_R, Relocked): Transition(relock, (_R, _L)),
        (_R, Freed): Transition(free, (_R,)),
        (_R, Unfreed): Transition(unfree, (_R, _L)),
        (_R, FireChanged): Transition(note_fire, (_R,)),
        (_R, TimePassed): Transition(end_release, (_L,)),
        (_R, ShutDown): Transition(shut_down, (_L,)),
        (_O, Started): Transition(start, (_L, _O)),
        (_O, ContactChanged): Transition(close, (_O, _R, _L)),
        (_O, Released): Transition(walk_through, (_O,)),
        (_O, Relocked): Transition(note_relock, (_O,)),
        (_O, Freed): Transition(free, (_O,)),
        (_O, Unfreed): Transition(unfree_open, (_O,)),
        (_O, FireChanged): Transition(note_fire, (_O,)),
        (_O, TimePassed): Transition(warn_or_hold, (_O, _H)),
        (_O, ShutDown): Transition(shut_down, (_O,)),
        (_H, Started): Transition(start, (_H, _L)),
        (_H, ContactChanged): Transition(close, (_H, _R, _L)),
        (_H, Released): Transition(walk_through, (_H,)),
        (_H, Relocked): Transition(note_relock, (_H,)),
        (_H, Freed): Transition(free, (_O,)),
        (_H, Unfreed): Transition(stay, (_H,)),
        (_H, FireChanged): Transition(note_fire, (_H,)),
        (_H, TimePassed): Transition(stay, (_H,)),
        (_H, ShutDown): Transition(shut_down, (_H,)),
        (_F, Started): Transition(start, (_F, _L)),
        (_F, ContactChanged): Transition(close, (_F, _R, _L)),
        (_F, Released): Transition(walk_through, (_F,)),
        (_F, Relocked): Transition(note_relock, (_F,)),
        (_F, Freed): Transition(free, (_O,)),
        (_F, Unfreed): Transition(stay, (_F,)),
        (_F, FireChanged): Transition(note_fire, (_F,)),
        (_F, TimePassed): Transition(stay, (_F,)),
        (_F, ShutDown): Transition(shut_down, (_F,)),
    }
)
