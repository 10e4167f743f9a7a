"""Keys while no card is at hand: how many come along with who was let in, or a code."""

from __future__ import annotations

from dataclasses import replace

from doorctl.access.answering import checking
from doorctl.access.code_entry import CodePad
from doorctl.access.companions import Company
from doorctl.access.messages import (
    Accompanied,
    Asked,
    Clicked,
    Event,
    Now,
    Prepare,
    Rules,
)
from doorctl.access.phases import Attempt, Step, due, idle
from doorctl.access.pin_pad import ENTER
from doorctl.masked import Identifier
from doorctl.readings import KeyPressed


def press(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Take a key.

    While somebody may say how many come along, keys say nothing else, so that no code begins
    then; whoever types one is the next to come and waits for the door anyway. Where the house has
    been closed meanwhile nobody follows any more; while nobody knows, a key counts for nothing.
    """
    assert isinstance(event, KeyPressed)  # noqa: S101 - the table's key says so
    company, over = attempt.company, due(attempt, now)
    if company is not None and not over:
        if now.mode is None:
            return attempt, ()
        if company.may_follow(now.mode):
            return _accompany(attempt, company, event.key)
    current = idle(attempt) if over or company is not None else attempt
    return _type(current, event.key, now, rules) if rules.codes else (current, ())


def _accompany(attempt: Attempt, company: Company, key: str) -> Step:
    companions = company.said(key)
    if companions is None:
        return attempt, ()
    return idle(attempt), (Accompanied(company.attempt, companions), Clicked())


def _type(attempt: Attempt, key: str, now: Now, rules: Rules) -> Step:
    pad = attempt.code_pad or CodePad(rules.pad, now.s, now.s)
    if key == ENTER and pad.code is not None:
        return _begin(attempt, pad.code, now)
    return replace(attempt, code_pad=pad.pressed(key, now.s)), (Clicked(),)


def _begin(attempt: Attempt, code: Identifier, now: Now) -> Step:
    number = attempt.last_number + 1
    begun = Attempt(number=number, last_number=number, cache_version=now.cache_version)
    return checking(begun, now), (Prepare(number, (code,)), Asked())


def clear_when_due(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    """Forget what was typed too long ago."""
    return (idle(attempt) if due(attempt, now) else attempt), ()


def clear(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """Forget what was typed before the daemon stood still."""
    return idle(attempt), ()
