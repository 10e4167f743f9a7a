"""One attempt to enter, from the card to the answer: readings and a time in, effects out.

All transitions stand in :data:`TRANSITIONS`; :func:`after` is the one place that uses it, and
the README's diagram is generated from it. Whatever is slow (stretching the identifier, looking
the row up, putting the attempt on record) is asked for as an effect when the card is read and
comes back as :class:`Prepared` while the patron types. The last digit then costs an HMAC, a
compare and the policy's table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from doorctl.access.messages import (
    Asked,
    Clicked,
    Concluded,
    Effect,
    Event,
    LookAgain,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.patron import proves
from doorctl.access.pin_pad import PinPad
from doorctl.access.policy import Case, PinProof, Policy, decide
from doorctl.access.reasons import Reason
from doorctl.masked import Pin
from doorctl.readings import CardRead, CardUnreadable, KeyPressed

PREPARE_LIMIT_S = 5.0
"""Longest wait for :class:`Prepared` after the last digit; sealing takes 0.8 s at the worst.

Also how late a delayed answer may come: after it whoever stands at the door may be another.
"""


class Phase(Enum):
    """Where an attempt stands."""

    IDLE = "idle"
    TYPING = "typing"
    CHECKING = "checking"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt at hand, or the idle reader after the last one.

    Args:
        phase: where it stands.
        number: its number.
        last_number: the highest number given out; an unreadable card takes one as well.
        pad: what has been typed.
        pin: the PIN, once complete.
        prepared: what is known of the card, once it is.
        cache_version: the cache's version before the row was asked for.
        until_s: when `CHECKING` or `DELAYED` ends, monotonic seconds.
    """

    phase: Phase = Phase.IDLE
    number: int = 0
    last_number: int = 0
    pad: PinPad | None = None
    pin: Pin | None = None
    prepared: Prepared | None = None
    cache_version: int | None = None
    until_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `TimePassed` has to be told, monotonic seconds; None while idle."""
        if self.phase is Phase.TYPING and self.pad is not None:
            return self.pad.deadline_s
        return self.until_s


Step = tuple[Attempt, tuple[Effect, ...]]
Handler = Callable[[Attempt, Event, Now, Rules], Step]


def after(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Return the attempt as it stands after `event`, and what has to be done.

    A deadline counts for every event, not for `TimePassed` alone: a loop that was held up may
    take a key or a row before it lets time pass.
    """
    if isinstance(event, Prepared | PrepareFailed) and event.attempt != attempt.number:
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
        begun = replace(begun, phase=Phase.CHECKING, pad=None, until_s=now.s + PREPARE_LIMIT_S)
    return begun, (Prepare(number, event.identifiers), Asked())


def _begin_afresh(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    begun, effects = _begin(attempt, event, now, rules)
    superseded = Concluded(attempt.number, Reason.PIN_TIMEOUT, silent=True)
    return begun, (superseded, *effects)


def _complain(attempt: Attempt, event: Event, _now: Now, _rules: Rules) -> Step:
    assert isinstance(event, CardUnreadable)  # noqa: S101 - the table's key says so
    number = attempt.last_number + 1
    unreadable = Concluded(number, Reason.CARD_UNREADABLE, event.shape)
    return replace(attempt, last_number=number), (unreadable,)


def _type(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    assert isinstance(event, KeyPressed)  # noqa: S101 - the table's key says so
    assert attempt.pad is not None  # noqa: S101 - typing has a pad
    if _due(attempt, now):
        return _conclude(attempt, Reason.PIN_TIMEOUT)
    pad = attempt.pad.pressed(event.key, now.s)
    pin = pad.entered(event.key)
    if pin is None:
        return replace(attempt, pad=pad), (Clicked(),)
    entered = replace(
        attempt, phase=Phase.CHECKING, pad=None, pin=pin, until_s=now.s + PREPARE_LIMIT_S
    )
    judged, effects = _judge(entered, now, rules)
    return judged, (*effects, Clicked())


def _time_out(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    return _conclude(attempt, Reason.PIN_TIMEOUT) if _due(attempt, now) else (attempt, ())


def _keep(attempt: Attempt, event: Event, _now: Now, _rules: Rules) -> Step:
    assert isinstance(event, Prepared)  # noqa: S101 - the table's key says so
    return replace(attempt, prepared=event), ()


def _keep_and_judge(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    if _due(attempt, now):
        return _conclude(attempt, Reason.FAULT)
    kept, _ = _keep(attempt, event, now, rules)
    return _judge(kept, now, rules)


def _judge(attempt: Attempt, now: Now, rules: Rules) -> Step:
    if attempt.prepared is None:
        return attempt, ()
    if attempt.prepared.delay_s:
        until = now.s + attempt.prepared.delay_s
        prepared = replace(attempt.prepared, delay_s=0.0)
        return replace(attempt, phase=Phase.DELAYED, prepared=prepared, until_s=until), ()
    if attempt.cache_version is None or attempt.cache_version != now.cache_version:
        return _look_again(attempt, attempt.prepared, now)
    return _conclude(attempt, _reason(attempt.prepared, attempt.pin, now, rules.policy))


def _look_again(attempt: Attempt, prepared: Prepared, now: Now) -> Step:
    if now.cache_version is None:
        return _conclude(attempt, Reason.FAULT)
    again = replace(
        attempt,
        phase=Phase.CHECKING,
        prepared=None,
        cache_version=now.cache_version,
        until_s=now.s + PREPARE_LIMIT_S,
    )
    return again, (LookAgain(prepared),)


def _reason(prepared: Prepared, pin: Pin | None, now: Now, policy: Policy) -> Reason:
    proof = PinProof.NOT_GIVEN
    if pin is not None:
        proved = proves(prepared.stretched, prepared.patron, pin)
        proof = PinProof.PROVED if proved else PinProof.WRONG
    case = Case(
        patron=prepared.patron,
        moment=now.moment,
        pin=proof,
        throttled=prepared.throttled,
        cache_applied_at=prepared.cache_applied_at,
        cache_minimum_age=prepared.cache_minimum_age,
    )
    return decide(policy, case)


def _answer(attempt: Attempt, _event: Event, now: Now, rules: Rules) -> Step:
    if _due(attempt, now, late_s=PREPARE_LIMIT_S):
        return _conclude(attempt, Reason.FAULT)
    return _judge(attempt, now, rules) if _due(attempt, now) else (attempt, ())


def _give_up(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    return _conclude(attempt, Reason.FAULT) if _due(attempt, now) else (attempt, ())


def _fail(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    return _conclude(attempt, Reason.FAULT)


def _due(attempt: Attempt, now: Now, late_s: float = 0.0) -> bool:
    return attempt.deadline_s is not None and now.s >= attempt.deadline_s + late_s


def _conclude(attempt: Attempt, reason: Reason) -> Step:
    idle = Attempt(number=attempt.number, last_number=attempt.last_number)
    return idle, (Concluded(attempt.number, reason),)


def _ignore(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    return attempt, ()


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does in a phase, and every phase that it can lead to."""

    handler: Handler
    to: tuple[Phase, ...]


_I, _T, _C, _D = Phase.IDLE, Phase.TYPING, Phase.CHECKING, Phase.DELAYED

TRANSITIONS: Mapping[tuple[Phase, type[Event]], Transition] = MappingProxyType(
    {
        (_I, CardRead): Transition(_begin, (_T, _C)),
        (_I, CardUnreadable): Transition(_complain, (_I,)),
        (_I, KeyPressed): Transition(_ignore, (_I,)),
        (_I, Prepared): Transition(_ignore, (_I,)),
        (_I, PrepareFailed): Transition(_ignore, (_I,)),
        (_I, TimePassed): Transition(_ignore, (_I,)),
        (_I, Stalled): Transition(_ignore, (_I,)),
        (_T, CardRead): Transition(_begin_afresh, (_T,)),
        (_T, CardUnreadable): Transition(_complain, (_T,)),
        (_T, KeyPressed): Transition(_type, (_T, _C, _D, _I)),
        (_T, Prepared): Transition(_keep, (_T,)),
        (_T, PrepareFailed): Transition(_fail, (_I,)),
        (_T, TimePassed): Transition(_time_out, (_T, _I)),
        (_T, Stalled): Transition(_fail, (_I,)),
        (_C, CardRead): Transition(_begin_afresh, (_T, _C)),
        (_C, CardUnreadable): Transition(_complain, (_C,)),
        (_C, KeyPressed): Transition(_ignore, (_C,)),
        (_C, Prepared): Transition(_keep_and_judge, (_C, _D, _I)),
        (_C, PrepareFailed): Transition(_fail, (_I,)),
        (_C, TimePassed): Transition(_give_up, (_C, _I)),
        (_C, Stalled): Transition(_fail, (_I,)),
        (_D, CardRead): Transition(_begin_afresh, (_T, _C)),
        (_D, CardUnreadable): Transition(_complain, (_D,)),
        (_D, KeyPressed): Transition(_ignore, (_D,)),
        (_D, Prepared): Transition(_ignore, (_D,)),
        (_D, PrepareFailed): Transition(_ignore, (_D,)),
        (_D, TimePassed): Transition(_answer, (_D, _C, _I)),
        (_D, Stalled): Transition(_fail, (_I,)),
    }
)
