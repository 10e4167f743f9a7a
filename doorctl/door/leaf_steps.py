"""What each event does to the leaf: the steps that the table in `leaf` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from doorctl.door.leaf_messages import (
    AlarmCleared,
    AlarmRaised,
    ContactChanged,
    Entered,
    FireChanged,
    FireReported,
    HeldWarned,
    LeafEffect,
    LeafEvent,
    LeafRules,
    Left,
    NoEntry,
    Passed,
    Released,
    Relocked,
    Started,
)
from doorctl.door.leaf_state import ALARMS, Leaf, LeafState
from doorctl.door.strike import TimePassed, Unfreed

Step = tuple[Leaf, tuple[LeafEffect, ...]]
Handler = Callable[[Leaf, LeafEvent, LeafRules], Step]


def start(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Begin with the leaf as the contact shows it; an open one is neither forced nor yet held."""
    assert isinstance(event, Started)  # noqa: S101 - the table's key says so
    begun = _begun(leaf, event)
    return (_opened(begun, event.now_s, rules) if event.open else begun), ()


def start_alarmed(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Begin anew under an alarm: it stands while the leaf does, and is cleared otherwise."""
    assert isinstance(event, Started)  # noqa: S101 - the table's key says so
    return (leaf, ()) if event.open else (_begun(leaf, event), _clears(leaf))


def _begun(leaf: Leaf, event: Started) -> Leaf:
    return Leaf(contact=event.open is not None, fire=leaf.fire)


def await_opening(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Expect whoever was let in or out to open; a free door expects nobody."""
    assert isinstance(event, Released)  # noqa: S101 - the table's key says so
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


def walk_through(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Count whoever was let in or out while the leaf stands open."""
    assert isinstance(event, Released)  # noqa: S101 - the table's key says so
    noted = _noted(leaf, event)
    if leaf.free:
        return noted, ()
    if leaf.state is LeafState.OPEN:
        # Whoever has just been let through has the whole time.
        noted = _opened(noted, event.now_s, rules)
    return noted, _passages(event.persons, leaving=not event.persons, now_s=event.now_s)


def _noted(leaf: Leaf, event: Released) -> Leaf:
    return replace(
        leaf,
        released_s=max(leaf.released_s or 0.0, event.until_s),
        held_open_s=max(leaf.held_open_s, event.held_open_s),
    )


def relock(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Lock when the strike does; a free door is locked by the end of its freedom alone."""
    assert isinstance(event, Relocked)  # noqa: S101 - the table's key says so
    return (leaf if leaf.free else _locked(leaf, event.now_s)), ()


def note_relock(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Note that the release is over, where the leaf shows something else."""
    assert isinstance(event, Relocked)  # noqa: S101 - the table's key says so
    if leaf.released_s is None:
        return leaf, ()
    return replace(leaf, released_s=min(leaf.released_s, event.now_s)), ()


def end_release(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Lock at the end of the release, should the strike not have told it."""
    assert isinstance(event, TimePassed)  # noqa: S101 - the table's key says so
    return _locked(leaf, event.now_s), ()


def _locked(leaf: Leaf, now_s: float) -> Leaf:
    if not leaf.contact:
        return Leaf(fire=leaf.fire)
    ended_s = now_s if leaf.released_s is None else min(leaf.released_s, now_s)
    return replace(leaf, state=LeafState.LOCKED, free=False, released_s=ended_s)


def end_grace(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Stop waiting for whoever was let in, and say so if nobody opened."""
    told = (NoEntry(),) if leaf.persons else ()
    return Leaf(contact=leaf.contact, fire=leaf.fire), told


def open_or_force(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Open a locked leaf: explained by a release just over or by the free exit, or forced."""
    assert isinstance(event, ContactChanged)  # noqa: S101 - the table's key says so
    if leaf.released_s is not None:
        return open_leaf(leaf, event, rules)
    if not event.open or not leaf.contact:
        return leaf, ()
    if rules.exit_is_free:
        return _opened(leaf, event.now_s, rules), (Left(event.now_s),)
    forced, told = _alarmed(leaf, LeafState.FORCED)
    return forced, (*told, Passed(event.now_s))


def open_leaf(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Open the leaf for whoever was let in or out."""
    assert isinstance(event, ContactChanged)  # noqa: S101 - the table's key says so
    if not event.open or not leaf.contact:
        return leaf, ()
    passages = _passages(leaf.persons, leaving=leaf.leaving, now_s=event.now_s)
    return _opened(replace(leaf, persons=0, leaving=False), event.now_s, rules), passages


def _opened(leaf: Leaf, now_s: float, rules: LeafRules) -> Leaf:
    held_s = None if leaf.free else now_s + max(rules.held_open_s, leaf.held_open_s)
    warn_s = None if held_s is None or not rules.prewarn_s else held_s - rules.prewarn_s
    return replace(leaf, state=LeafState.OPEN, warn_s=warn_s, held_s=held_s)


def _passages(persons: int, *, leaving: bool, now_s: float) -> tuple[LeafEffect, ...]:
    entered = (Entered(persons, now_s),) if persons else ()
    left = (Left(now_s),) if leaving else ()
    return (*entered, *left) or (Passed(now_s),)


def close(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Close the leaf; a release that is not over still stands, and an alarm is over."""
    assert isinstance(event, ContactChanged)  # noqa: S101 - the table's key says so
    return _closed(leaf, event)


def _closed(leaf: Leaf, event: ContactChanged) -> Step:
    if event.open:
        return leaf, ()
    released = leaf.free or _releases(leaf, event.now_s)
    shut = replace(
        leaf,
        state=LeafState.RELEASED if released else LeafState.LOCKED,
        released_s=leaf.released_s if released else event.now_s,
        told=False,
        warn_s=None,
        held_s=None,
    )
    return shut, _clears(leaf)


def close_forced(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Close a forced leaf; what was forced once explains no opening after it."""
    assert isinstance(event, ContactChanged)  # noqa: S101 - the table's key says so
    shut, told = _closed(leaf, event)
    unexplained = shut.state is LeafState.LOCKED
    return (replace(shut, released_s=None, held_open_s=0.0) if unexplained else shut), told


def _releases(leaf: Leaf, now_s: float) -> bool:
    return leaf.released_s is not None and now_s < leaf.released_s


def warn_or_hold(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Warn, or find the leaf held open; a warning that comes too late is left out."""
    assert isinstance(event, TimePassed)  # noqa: S101 - the table's key says so
    if leaf.held_s is not None and event.now_s >= leaf.held_s:
        return _alarmed(leaf, LeafState.HELD)
    return replace(leaf, warn_s=None), (() if leaf.fire else (HeldWarned(),))


def _alarmed(leaf: Leaf, state: LeafState) -> Step:
    alarmed = replace(leaf, state=state, told=not leaf.fire, warn_s=None, held_s=None)
    return alarmed, (() if leaf.fire else (AlarmRaised(ALARMS[state]),))


def _clears(leaf: Leaf) -> tuple[LeafEffect, ...]:
    return (AlarmCleared(ALARMS[leaf.state]),) if leaf.told else ()


def free(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Let everybody pass; whoever was let in before needs no opening of their own."""
    return _freed(leaf, LeafState.RELEASED), ()


def free_open(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Let the leaf stand open; what was an alarm is none in staffed hours."""
    return _freed(leaf, LeafState.OPEN), _clears(leaf)


def _freed(leaf: Leaf, state: LeafState) -> Leaf:
    return Leaf(state, contact=leaf.contact, free=True, fire=leaf.fire, released_s=leaf.released_s)


def unfree(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Lock when staff have gone, but for a pulse that was given before."""
    assert isinstance(event, Unfreed)  # noqa: S101 - the table's key says so
    if not leaf.free or _releases(leaf, event.now_s):
        return replace(leaf, free=False), ()
    return _locked(replace(leaf, released_s=None), event.now_s), ()


def unfree_open(leaf: Leaf, event: LeafEvent, rules: LeafRules) -> Step:
    """Begin the time that an open leaf has, when staff have gone."""
    assert isinstance(event, Unfreed)  # noqa: S101 - the table's key says so
    if not leaf.free:
        return leaf, ()
    return _opened(replace(leaf, free=False), event.now_s, rules), ()


def note_fire(leaf: Leaf, event: LeafEvent, _rules: LeafRules) -> Step:
    """Put the fire input on record; what it kept back is told when it goes back."""
    assert isinstance(event, FireChanged)  # noqa: S101 - the table's key says so
    if event.active is leaf.fire:
        return leaf, ()
    noted, report = replace(leaf, fire=event.active), FireReported(event.active)
    if noted.fire or noted.told or noted.state not in ALARMS:
        return noted, (report,)
    alarmed, told = _alarmed(noted, noted.state)
    return alarmed, (report, *told)


def shut_down(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Expect nobody any more."""
    return Leaf(contact=leaf.contact, fire=leaf.fire), ()


def shut_down_open(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Stop without deadlines; an alarm is not over because nobody looks any more."""
    stopped = Leaf(leaf.state, contact=leaf.contact, fire=leaf.fire, told=leaf.told)
    return stopped, ()


def stay(leaf: Leaf, _event: LeafEvent, _rules: LeafRules) -> Step:
    """Do nothing."""
    return leaf, ()
