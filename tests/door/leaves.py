"""Leaves in every state, and the events that are told them."""

from __future__ import annotations

from collections.abc import Iterable

from doorctl.door.leaf import (
    ContactChanged,
    FireChanged,
    Leaf,
    LeafEffect,
    LeafEvent,
    LeafRules,
    Released,
    Relocked,
    Started,
    after,
)
from doorctl.door.strike import Freed, ShutDown, TimePassed, Unfreed

HELD_S = 30.0
WARN_S = 10.0
RULES = LeafRules(HELD_S, WARN_S)
FREE_EXIT = LeafRules(HELD_S, WARN_S, exit_is_free=True)

RELEASE = Released(10.0, 15.0)
EXIT = Released(10.0, 15.0, persons=0)
FIRE, NO_FIRE = FireChanged(active=True), FireChanged(active=False)
CLOSED_AT_START = Started(open=False, now_s=0.0)


def opened(now_s: float) -> ContactChanged:
    """Return the leaf's opening."""
    return ContactChanged(open=True, now_s=now_s)


def closed(now_s: float) -> ContactChanged:
    """Return the leaf's closing."""
    return ContactChanged(open=False, now_s=now_s)


def told(
    *events: LeafEvent, rules: LeafRules = RULES, leaf: Leaf | None = None
) -> tuple[Leaf, list[LeafEffect]]:
    """Tell events to a leaf that has just started closed; return it and all effects."""
    leaf = after(Leaf(), CLOSED_AT_START, rules)[0] if leaf is None else leaf
    effects = list[LeafEffect]()
    for event in events:
        leaf, more = after(leaf, event, rules)
        effects.extend(more)
    return leaf, effects


def leaf_after(*events: LeafEvent, rules: LeafRules = RULES) -> Leaf:
    """Return the leaf alone."""
    return told(*events, rules=rules)[0]


def every_leaf() -> Iterable[Leaf]:
    """Return leaves in every state, by every way into it, as they are at 14 s."""
    yield Leaf()
    yield leaf_after()
    yield leaf_after(Released(9.0, 13.5), Relocked(13.5))
    yield after(Leaf(), RELEASE, RULES)[0]
    for before in ((), (FIRE,)):
        yield leaf_after(*before, RELEASE)
        yield leaf_after(*before, EXIT)
        yield leaf_after(*before, Freed(10.0))
        yield leaf_after(*before, RELEASE, opened(11.0))
        yield leaf_after(*before, Released(9.0, 12.0), opened(11.0), Relocked(12.0))
        yield leaf_after(*before, Released(-20.0, -15.0), opened(-18.0), TimePassed(13.0))
        yield leaf_after(
            *before, Released(-20.0, -15.0), opened(-18.0), TimePassed(13.0), Released(13.0, 18.0)
        )
        yield leaf_after(*before, Freed(10.0), opened(11.0))
        yield leaf_after(*before, opened(11.0))
        yield leaf_after(*before, opened(11.0), Released(12.0, 17.0))


EVENTS: tuple[LeafEvent, ...] = (
    Started(open=None, now_s=14.0),
    Started(open=False, now_s=14.0),
    Started(open=True, now_s=14.0),
    opened(14.0),
    closed(14.0),
    Released(14.0, 19.0),
    Released(14.0, 19.0, persons=0),
    Relocked(14.0),
    Freed(14.0),
    Unfreed(14.0),
    FIRE,
    NO_FIRE,
    TimePassed(14.0),
    TimePassed(60.0),
    ShutDown(),
)
