"""What the branch now is called in words, in English; and the one sentence that says it all.

What is wrong is decided here alone: what the page marks is what its first sentence names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from doorctl.access.calendar import Cause, Mode
from doorctl.moments import ClockState
from doorctl.web.desks import BranchPicture, DoorNow
from doorctl.web.pages.mode_words import MODES
from doorctl.web.pages.words import Words
from doorctl.web.standing import StandingAlarm

LEAVES: Mapping[str, str] = MappingProxyType(
    {
        "locked": "Locked",
        "released": "Released",
        "open": "Open",
        "held": "Held open",
        "forced": "Forced open",
    }
)

CLOCKS: Mapping[str, str] = MappingProxyType(
    {
        ClockState.TRUSTED.value: "Set",
        ClockState.HOLDOVER.value: "Set, and carried on without the network",
        ClockState.UNTRUSTED.value: "Not set",
    }
)

OLD: Final = timedelta(hours=30)
"""A register that is pushed each night is never older."""

LITTLE_BYTES: Final = 200_000_000
"""With less free than that a purge has no room to work in."""

CONNECTED: Final = "connected"


def _of_door(wrong: Callable[[DoorNow], bool]) -> Callable[[BranchPicture], bool]:
    """Return whether something is wrong with a door that answers."""
    return lambda now: now.door is not None and wrong(now.door)


FAULTS: Mapping[str, Callable[[BranchPicture], bool]] = MappingProxyType(
    {
        "Mode": lambda now: now.hours is None or now.hours.mode is None,
        "Door": _of_door(lambda door: door.leaf in {"held", "forced"}),
        "Card reader": _of_door(lambda door: door.reader not in {CONNECTED, None}),
        "Keypad": _of_door(lambda door: door.keypad not in {CONNECTED, None}),
        "Clock": _of_door(lambda door: door.clock == ClockState.UNTRUSTED.value),
        "Patron register": lambda now: now.register.problem is not None or is_old(now),
        "Free disk": lambda now: _is_little(now.disk_free_bytes),
        "Version": lambda now: now.door is not None and now.door.version != now.version,
    }
)
"""What can be wrong, by what the page calls it in English, and when it is."""


def faults(now: BranchPicture) -> tuple[str, ...]:
    """Return the names of what is wrong, without what alarms say."""
    return tuple(name for name, wrong in FAULTS.items() if wrong(now))


def _is_little(free_bytes: int | None) -> bool:
    return free_bytes is not None and free_bytes < LITTLE_BYTES


def is_old(now: BranchPicture) -> bool:
    """Tell whether the register should have come anew."""
    return now.register.age is not None and now.register.age > OLD


def headline(
    words: Words, now: BranchPicture, alarms: Sequence[StandingAlarm] | None
) -> tuple[str, bool]:
    """Return one sentence about all of it, and whether it is good news."""
    if now.door is None:
        return words.say("The door process does not answer: nobody is let in."), False
    if locked := _locked_down(words, now):
        return locked, False
    if alarms is None:
        return words.say("The alarms can't be read."), False
    if alarms:
        count = len(alarms)
        return words.count("{n} alarm stands.", "{n} alarms stand.", count), False
    if wrong := faults(now):
        named = ", ".join(words.say(name) for name in wrong)
        return words.say("Something is wrong: {things}.", things=named), False
    return _calm(words, now), True


def _locked_down(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    if hours is not None and hours.cause is Cause.LOCKDOWN:
        return words.say("A lockdown is over. The door stays closed until staff lift it.")
    if hours is None or hours.mode is not Mode.LOCKDOWN or hours.changes_at is None:
        return ""
    time = words.moment(hours.changes_at)
    return words.say("Locked down until {time}: only emergency passes open the door.", time=time)


def _calm(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    mode = words.say(MODES[None if hours is None else hours.mode])
    if hours is None or hours.changes_at is None:
        return words.say("{mode}. Nothing to do.", mode=mode)
    if hours.changes_at.date() != now.at.date():
        day = words.moment(hours.changes_at)
        return words.say("{mode} until {day}. Nothing to do.", mode=mode, day=day)
    until = words.clock(hours.changes_at)
    return words.say("{mode} until {time}. Nothing to do.", mode=mode, time=until)
