"""One attempt to enter, from the card to the answer: readings and a time in, effects out.

All transitions stand in :data:`TRANSITIONS`; :func:`after` is the one place that uses it, and
the README's diagram is generated from it. Whatever is slow (stretching the identifier, looking
the row up, putting the attempt on record) is asked for as an effect when the card is read and
comes back as :class:`Prepared` while the patron types. The last digit then costs an HMAC, a
compare and the policy's tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from doorctl.access.answering import (
    answer,
    checking,
    give_up,
    hear,
    judge,
    keep,
    keep_and_judge,
    tell,
    tell_when_due,
)
from doorctl.access.between_cards import clear, clear_when_due, press
from doorctl.access.messages import (
    Asked,
    Clicked,
    Concluded,
    Event,
    LibraryAnswered,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.phases import (
    PREPARE_LIMIT_S,
    Attempt,
    Handler,
    Phase,
    Step,
    due,
    fail,
    ignore,
    refused,
)
from doorctl.access.pin_pad import PinPad
from doorctl.access.reasons import Reason
from doorctl.readings import CardRead, CardUnreadable, KeyPressed

__all__ = ["PREPARE_LIMIT_S", "TRANSITIONS", "Attempt", "Phase", "Transition", "after"]

Answer = Prepared | PrepareFailed | LibraryAnswered
"""What comes back from a question, and counts only for the attempt that asked it."""


def after(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Return the attempt as it stands after `event`, and what has to be done.

    A deadline counts for every event, not for `TimePassed` alone: a loop that was held up may
    take a key or a row before it lets time pass.
    """
    if isinstance(event, Answer) and event.attempt != attempt.number:
        return attempt, ()
    return TRANSITIONS[attempt.phase, type(event)].handler(attempt, event, now, rules)


def _begin(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    assert isinstance(event, CardRead)  # noqa: S101 - the table's key says so
    number = attempt.last_number + 1
    begun = Attempt(
        Phase.TYPING,
        number,
        number,
        PinPad.opened(rules.pad, now.s),
        cache_version=now.cache_version,
    )
    if not rules.policy.require_pin:
        begun = checking(begun, now)
    return begun, (Prepare(number, event.identifiers), Asked())


def _begin_afresh(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    begun, effects = _begin(attempt, event, now, rules)
    # A guess that was made stays one: else a swipe before it is told would make each free.
    reason = attempt.withheld or Reason.PIN_TIMEOUT
    superseded = Concluded(attempt.number, reason, silent=True, unchecked=attempt.unchecked)
    return begun, (superseded, *effects)


def _complain(attempt: Attempt, event: Event, _now: Now, _rules: Rules) -> Step:
    assert isinstance(event, CardUnreadable)  # noqa: S101 - the table's key says so
    number = attempt.last_number + 1
    unreadable = Concluded(number, Reason.CARD_UNREADABLE, event.shape)
    return replace(attempt, last_number=number), (unreadable,)


def _type(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    assert isinstance(event, KeyPressed)  # noqa: S101 - the table's key says so
    assert attempt.pad is not None  # noqa: S101 - typing has a pad
    if due(attempt, now):
        return refused(attempt, Reason.PIN_TIMEOUT)
    pad = attempt.pad.pressed(event.key, now.s)
    pin = pad.entered(event.key)
    if pin is None:
        return replace(attempt, pad=pad), (Clicked(),)
    entered = checking(replace(attempt, pin=pin), now)
    answered, effects = judge(entered, now, rules)
    return answered, (*effects, Clicked())


def _time_out(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    return refused(attempt, Reason.PIN_TIMEOUT) if due(attempt, now) else (attempt, ())


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a phase, and every phase that it can lead to."""

    handler: Handler
    to: tuple[Phase, ...]


_I, _T, _C = Phase.IDLE, Phase.TYPING, Phase.CHECKING
_D, _A, _W = Phase.DELAYED, Phase.ASKING, Phase.WITHHELD

TRANSITIONS: Mapping[tuple[Phase, type[Event]], Transition] = MappingProxyType(
    {
        (_I, CardRead): Transition(_begin, (_T, _C)),
        (_I, CardUnreadable): Transition(_complain, (_I,)),
        (_I, KeyPressed): Transition(press, (_I, _C)),
        (_I, Prepared): Transition(ignore, (_I,)),
        (_I, PrepareFailed): Transition(ignore, (_I,)),
        (_I, LibraryAnswered): Transition(ignore, (_I,)),
        (_I, TimePassed): Transition(clear_when_due, (_I,)),
        (_I, Stalled): Transition(clear, (_I,)),
        (_T, CardRead): Transition(_begin_afresh, (_T,)),
        (_T, CardUnreadable): Transition(_complain, (_T,)),
        (_T, KeyPressed): Transition(_type, (_T, _C, _D, _A, _W, _I)),
        (_T, Prepared): Transition(keep, (_T, _C, _D, _I)),
        (_T, PrepareFailed): Transition(fail, (_I,)),
        (_T, LibraryAnswered): Transition(ignore, (_T,)),
        (_T, TimePassed): Transition(_time_out, (_T, _I)),
        (_T, Stalled): Transition(fail, (_I,)),
        (_C, CardRead): Transition(_begin_afresh, (_T, _C)),
        (_C, CardUnreadable): Transition(_complain, (_C,)),
        (_C, KeyPressed): Transition(ignore, (_C,)),
        (_C, Prepared): Transition(keep_and_judge, (_C, _D, _A, _W, _I)),
        (_C, PrepareFailed): Transition(fail, (_I,)),
        (_C, LibraryAnswered): Transition(ignore, (_C,)),
        (_C, TimePassed): Transition(give_up, (_C, _I)),
        (_C, Stalled): Transition(fail, (_I,)),
        (_D, CardRead): Transition(_begin_afresh, (_T, _C)),
        (_D, CardUnreadable): Transition(_complain, (_D,)),
        (_D, KeyPressed): Transition(ignore, (_D,)),
        (_D, Prepared): Transition(ignore, (_D,)),
        (_D, PrepareFailed): Transition(ignore, (_D,)),
        (_D, LibraryAnswered): Transition(ignore, (_D,)),
        (_D, TimePassed): Transition(answer, (_D, _C, _A, _W, _I)),
        (_D, Stalled): Transition(fail, (_I,)),
        (_A, CardRead): Transition(_begin_afresh, (_T,)),
        (_A, CardUnreadable): Transition(_complain, (_A,)),
        (_A, KeyPressed): Transition(ignore, (_A,)),
        (_A, Prepared): Transition(ignore, (_A,)),
        (_A, PrepareFailed): Transition(ignore, (_A,)),
        (_A, LibraryAnswered): Transition(hear, (_A, _W, _C, _I)),
        (_A, TimePassed): Transition(tell_when_due, (_A, _I)),
        (_A, Stalled): Transition(tell, (_I,)),
        (_W, CardRead): Transition(_begin_afresh, (_T,)),
        (_W, CardUnreadable): Transition(_complain, (_W,)),
        (_W, KeyPressed): Transition(ignore, (_W,)),
        (_W, Prepared): Transition(ignore, (_W,)),
        (_W, PrepareFailed): Transition(ignore, (_W,)),
        (_W, LibraryAnswered): Transition(ignore, (_W,)),
        (_W, TimePassed): Transition(tell_when_due, (_W, _I)),
        (_W, Stalled): Transition(tell, (_I,)),
    }
)
