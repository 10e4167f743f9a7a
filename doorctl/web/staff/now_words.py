"""What the branch now is called in words, in English; and the one sentence that says it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from doorctl.moments import ClockState
from doorctl.web.desks import BranchPicture
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


def headline(
    words: Words, now: BranchPicture, alarms: Sequence[StandingAlarm] | None
) -> tuple[str, bool]:
    """Return one sentence about all of it, and whether it is good news."""
    if now.door is None:
        return words.say("The door process does not answer: nobody is let in."), False
    if alarms is None:
        return words.say("The alarms can't be read."), False
    if alarms:
        count = len(alarms)
        return words.count("{n} alarm stands.", "{n} alarms stand.", count), False
    return _calm(words, now), True


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
