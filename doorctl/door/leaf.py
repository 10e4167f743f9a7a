"""The leaf as its contact shows it: locked, released, open, held open or forced.

All transitions stand in :data:`TRANSITIONS`; :func:`after` is the one place that uses it, and the
README's diagram is generated from it. The leaf drives nothing: it listens to contact, strike and
fire input, and says what has to be told. It never has a say in who gets in or out.

"No entry" is an event and no state: after a release that nobody used the leaf is locked like any
other, and there is nothing that would end the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.door import leaf_steps as steps
from doorctl.door.leaf_messages import (
    ContactChanged,
    FireChanged,
    LeafEffect,
    LeafEvent,
    LeafRules,
    Released,
    Relocked,
    Started,
)
from doorctl.door.leaf_state import Leaf, LeafState
from doorctl.door.leaf_steps import Handler, Step
from doorctl.door.strike import Freed, ShutDown, TimePassed, Unfreed


def after(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Return the leaf as it stands after `event`, and what has to be told.

    A deadline counts for every event that has a time, not for `TimePassed` alone: a loop that was
    held up may take the contact before it lets time pass.
    """
    told: tuple[LeafEffect, ...] = ()
    if not isinstance(event, FireChanged | ShutDown):
        leaf, told = _caught_up(leaf, TimePassed(event.now_s), rules)
    if isinstance(event, TimePassed):
        return leaf, told
    leaf, effects = TRANSITIONS[leaf.state, type(event)].step(leaf, event, rules)
    return leaf, (*told, *effects)


def _caught_up(leaf: Leaf, now: TimePassed, rules: LeafRules) -> Step:
    told: tuple[LeafEffect, ...] = ()
    while leaf.deadline_s is not None and now.now_s >= leaf.deadline_s:
        leaf, effects = TRANSITIONS[leaf.state, TimePassed].step(leaf, now, rules)
        told = (*told, *effects)
    return leaf, told


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a state, and every state that it can lead to."""

    step: Handler
    to: tuple[LeafState, ...]


_L, _R, _O = LeafState.LOCKED, LeafState.RELEASED, LeafState.OPEN
_H, _F = LeafState.HELD, LeafState.FORCED

TRANSITIONS: Mapping[tuple[LeafState, type[LeafEvent]], Transition] = MappingProxyType(
    {
        (_L, Started): Transition(steps.start, (_L, _O)),
        (_L, ContactChanged): Transition(steps.open_or_force, (_L, _O, _F)),
        (_L, Released): Transition(steps.await_opening, (_R,)),
        (_L, Relocked): Transition(steps.note_relock, (_L,)),
        (_L, Freed): Transition(steps.free, (_R,)),
        (_L, Unfreed): Transition(steps.stay, (_L,)),
        (_L, FireChanged): Transition(steps.note_fire, (_L,)),
        (_L, TimePassed): Transition(steps.end_grace, (_L,)),
        (_L, ShutDown): Transition(steps.shut_down, (_L,)),
        (_R, Started): Transition(steps.start, (_L, _O)),
        (_R, ContactChanged): Transition(steps.open_leaf, (_R, _O)),
        (_R, Released): Transition(steps.await_opening, (_R,)),
        (_R, Relocked): Transition(steps.relock, (_R, _L)),
        (_R, Freed): Transition(steps.free, (_R,)),
        (_R, Unfreed): Transition(steps.unfree, (_R, _L)),
        (_R, FireChanged): Transition(steps.note_fire, (_R,)),
        (_R, TimePassed): Transition(steps.end_release, (_L,)),
        (_R, ShutDown): Transition(steps.shut_down, (_L,)),
        (_O, Started): Transition(steps.start, (_L, _O)),
        (_O, ContactChanged): Transition(steps.close, (_O, _R, _L)),
        (_O, Released): Transition(steps.walk_through, (_O,)),
        (_O, Relocked): Transition(steps.note_relock, (_O,)),
        (_O, Freed): Transition(steps.free_open, (_O,)),
        (_O, Unfreed): Transition(steps.unfree_open, (_O,)),
        (_O, FireChanged): Transition(steps.note_fire, (_O,)),
        (_O, TimePassed): Transition(steps.warn_or_hold, (_O, _H)),
        (_O, ShutDown): Transition(steps.shut_down_open, (_O,)),
        (_H, Started): Transition(steps.start_alarmed, (_H, _L)),
        (_H, ContactChanged): Transition(steps.close, (_H, _R, _L)),
        (_H, Released): Transition(steps.walk_through, (_H,)),
        (_H, Relocked): Transition(steps.note_relock, (_H,)),
        (_H, Freed): Transition(steps.free_open, (_O,)),
        (_H, Unfreed): Transition(steps.stay, (_H,)),
        (_H, FireChanged): Transition(steps.note_fire, (_H,)),
        (_H, TimePassed): Transition(steps.stay, (_H,)),
        (_H, ShutDown): Transition(steps.shut_down_open, (_H,)),
        (_F, Started): Transition(steps.start_alarmed, (_F, _L)),
        (_F, ContactChanged): Transition(steps.close_forced, (_F, _R, _L)),
        (_F, Released): Transition(steps.walk_through, (_F,)),
        (_F, Relocked): Transition(steps.note_relock, (_F,)),
        (_F, Freed): Transition(steps.free_open, (_O,)),
        (_F, Unfreed): Transition(steps.stay, (_F,)),
        (_F, FireChanged): Transition(steps.note_fire, (_F,)),
        (_F, TimePassed): Transition(steps.stay, (_F,)),
        (_F, ShutDown): Transition(steps.shut_down_open, (_F,)),
    }
)
