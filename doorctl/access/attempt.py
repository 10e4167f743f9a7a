"""One attempt to enter, from the card to the answer: readings and a time in, effects out.

All transitions stand in :data:`TRANSITIONS`; :func:`after` is the one place that uses it, and
README.md beside it is drawn from it. The slow work (stretching the identifier, looking the
row up, putting the attempt on record) is requested as an effect when the card is read, and
comes back as :class:`Prepared` while the patron types. The last digit then costs an HMAC, a
compare and the policy's tables.

Where the library system may be asked about a card that the cache can't judge, every refusal
before the PIN is proved comes when its answer would be due at the latest, asked or not: the
time must not tell which cards are known.

By one key the last patron may say how many companions follow; a number may be a code instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from doorctl.access.calendar import OPEN, Mode
from doorctl.access.judging import (
    Foreseen,
    compares_nothing,
    foreseen,
    judged,
    opens_without_pin,
    refusal,
    worth_asking,
)
from doorctl.access.messages import (
    Accompanied,
    Asked,
    AskLibrary,
    Clicked,
    Concluded,
    Effect,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    NoCode,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.patron import UNPROVED, Reason
from doorctl.access.pin_pad import ENTER, CodePad, PinPad
from doorctl.core.masked import Identifier, Pin
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed

COMPANION_S = 8.0
"""How long a key counts: as long as a person with a pram takes to pull the door open."""


@dataclass(frozen=True, slots=True)
class Company:
    """The companions that may still be announced for an attempt that opened the door.

    Keys 0 to `companions_max`, at most 9, count until just before `until_s`, monotonic seconds, or
    until the strike locks; `wrong` after any other digit.
    """

    attempt: int
    companions_max: int
    until_s: float
    granted_in: Mode
    wrong: bool = False

    def said(self, key: str) -> int | None:
        """Return how many come along, or None for a key without that meaning."""
        return int(key) if key.isdigit() and int(key) <= self.companions_max else None

    def may_follow(self, mode: Mode) -> bool:
        """Tell whether companions may come in by now; shortly before closing they may.

        A pass that opens a closed branch lets them in too, until staff make it stricter.
        """
        return mode in OPEN or mode is self.granted_in


PREPARE_LIMIT_S = 5.0
"""Longest wait for :class:`Prepared` after the last digit; sealing takes 0.8 s at the worst.

Also the latest that a delayed answer may come: after it another person may stand at the door.
"""


class Phase(Enum):
    """The phase of an attempt."""

    IDLE = "idle"
    TYPING = "typing"
    CHECKING = "checking"
    DELAYED = "delayed"
    ASKING = "asking"
    """The library system has been asked; a refusal is withheld meanwhile."""
    WITHHELD = "withheld"
    """Refused; the patron is told when an answer of the library system would be due."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The current attempt, or the idle reader after the last one.

    `pin` and `prepared` are None until complete; `code_pad` and `company` are set only while
    `IDLE`, `card` never is then.

    Args:
        last_number: the highest number given out; an unreadable card takes a number as well.
        cache_version: the cache's version before the row was requested.
        until_s: when any other phase than `IDLE` and `TYPING` ends, monotonic seconds.
        withheld: the refusal that is shown then; only while `ASKING` and `WITHHELD`.
        unchecked: the PIN could not be checked; only while `WITHHELD`.
        early: a pass seemed to open without a PIN, so none was waited for.
        foreseen: what the right PIN would bring; only while `TYPING`.
        card: what was read; None where a code was typed.
    """

    phase: Phase = Phase.IDLE
    number: int = 0
    last_number: int = 0
    pad: PinPad | None = None
    pin: Pin | None = None
    prepared: Prepared | None = None
    cache_version: int | None = None
    until_s: float | None = None
    withheld: Reason | None = None
    unchecked: bool = False
    early: bool = False
    code_pad: CodePad | None = None
    company: Company | None = None
    foreseen: Foreseen | None = None
    card: CardRead | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `TimePassed` is due, monotonic seconds; None while nothing is pending."""
        if self.phase is Phase.TYPING and self.pad is not None:
            return self.pad.deadline_s
        if self.company is not None:
            return self.company.until_s
        return self.until_s if self.code_pad is None else self.code_pad.deadline_s


Step = tuple[Attempt, tuple[Effect, ...]]
Handler = Callable[[Attempt, Any, Now, Rules], Step]


def due(attempt: Attempt, now: Now, late_s: float = 0.0) -> bool:
    """Tell whether the deadline passed at least `late_s` seconds ago."""
    if attempt.company is not None and now.locked:
        return True
    deadline_s = attempt.deadline_s
    return deadline_s is not None and now.s >= deadline_s + late_s


def idle(attempt: Attempt, company: Company | None = None) -> Attempt:
    """Return the idle reader after an attempt; it keeps nothing that was typed or read."""
    return Attempt(number=attempt.number, last_number=attempt.last_number, company=company)


def refused(attempt: Attempt, reason: Reason) -> Step:
    """End an attempt that was not judged, or whose refusal was withheld."""
    return idle(attempt), (Concluded(attempt.number, reason, unchecked=attempt.unchecked),)


def concluded(attempt: Attempt, end: Concluded, now: Now) -> Step:
    """End an attempt that was judged; its patron may say who comes along."""
    company = None
    if end.companions_max and now.mode is not None:
        until_s = now.s + COMPANION_S
        company = Company(attempt.number, end.companions_max, until_s, now.mode)
    return idle(attempt, company), (end,)


def ignore(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """Leave the attempt as it is."""
    return attempt, ()


def give_up(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """End an attempt by the refusal that is withheld, or else by a fault of doorctl."""
    return refused(attempt, attempt.withheld or Reason.FAULT)


def give_up_when_due(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """End an attempt whose row does not come in time, or once an answer would be due."""
    return give_up(attempt, event, now, rules) if due(attempt, now) else (attempt, ())


def keep(attempt: Attempt, event: Prepared, now: Now, rules: Rules) -> Step:
    """Keep the card's row while the PIN is typed, or let it in at once by a pass without a PIN.

    All can see that a pass opens, none that one does not.
    """
    kept = replace(attempt, prepared=event, foreseen=_foreseen(attempt, event, now, rules))
    if due(attempt, now) or not opens_without_pin(event, now, rules):
        return kept, ()
    return judge(checking(replace(kept, early=True), now), now, rules)


def _foreseen(
    attempt: Attempt, prepared: Prepared | None, now: Now, rules: Rules
) -> Foreseen | None:
    if prepared is None or now.cache_version is None or attempt.cache_version != now.cache_version:
        return None
    return foreseen(prepared, now, rules)


def keep_and_judge(attempt: Attempt, event: Prepared, now: Now, rules: Rules) -> Step:
    """Judge by the row, which came after the last digit."""
    if due(attempt, now):
        return refused(attempt, Reason.FAULT)
    return judge(replace(attempt, prepared=event), now, rules)


def checking(attempt: Attempt, now: Now) -> Attempt:
    """Return the attempt after the last digit."""
    until_s = now.s + PREPARE_LIMIT_S
    return replace(attempt, phase=Phase.CHECKING, pad=None, until_s=until_s, foreseen=None)


def judge(attempt: Attempt, now: Now, rules: Rules) -> Step:
    """Answer as soon as the row is there, the reader's delay is over and the row is up to date."""
    if attempt.prepared is None:
        return attempt, ()
    if attempt.prepared.delay_s:
        until = now.s + attempt.prepared.delay_s
        prepared = replace(attempt.prepared, delay_s=0.0)
        return replace(attempt, phase=Phase.DELAYED, prepared=prepared, until_s=until), ()
    if attempt.cache_version is None or attempt.cache_version != now.cache_version:
        return _look_again(attempt, attempt.prepared, now)
    return _decide(attempt, attempt.prepared, now, rules)


def _look_again(attempt: Attempt, prepared: Prepared, now: Now) -> Step:
    if now.cache_version is None:
        return refused(attempt, Reason.FAULT)
    again = replace(
        checking(attempt, now), prepared=None, cache_version=now.cache_version, withheld=None
    )
    # Once the cache had a row, a lent row does not undo a push that takes it away.
    lent = prepared.lent if prepared.patron is None else None
    return again, (LookAgain(replace(prepared, lent=lent)),)


def _decide(attempt: Attempt, prepared: Prepared, now: Now, rules: Rules) -> Step:
    end = judged(prepared, attempt.pin, now, rules)
    if attempt.early and end.reason is not Reason.OK:
        # The pass ended while we looked: no guess was made, and the next swipe asks for a PIN.
        return refused(attempt, Reason.PIN_TIMEOUT)
    # Without a PIN: none is required, or it was sent with the question, which is put once.
    if end.reason not in UNPROVED or attempt.pin is None or rules.ask_s is None:
        return concluded(attempt, end, now)
    until_s = now.s + rules.ask_s
    if not worth_asking(prepared, now, rules):
        return _withhold(attempt, end.reason, until_s)
    asking = replace(attempt, phase=Phase.ASKING, pin=None, withheld=end.reason, until_s=until_s)
    return asking, (AskLibrary(prepared, attempt.pin),)


def _withhold(attempt: Attempt, reason: Reason, until_s: float | None) -> Step:
    withheld = replace(attempt, phase=Phase.WITHHELD, withheld=reason, until_s=until_s)
    return replace(withheld, pin=None, prepared=None), ()


def hear(attempt: Attempt, event: LibraryAnswered, now: Now, rules: Rules) -> Step:
    """Take the library system's answer, if it comes in time."""
    assert attempt.prepared is not None  # noqa: S101 - asking has a card
    assert attempt.withheld is not None  # noqa: S101 - asking withholds
    if due(attempt, now):
        # `TimePassed` shows the withheld refusal, as it does where no question was sent.
        return attempt, ()
    if event.answer is not LibraryAnswer.YES:
        reason = refusal(attempt.prepared, event.answer, attempt.withheld)
        silent = event.answer is LibraryAnswer.SILENT
        unchecked = silent and compares_nothing(attempt.prepared, attempt.withheld)
        return _withhold(replace(attempt, unchecked=unchecked), reason, attempt.until_s)
    proved = replace(attempt.prepared, proved=True, lent=event.lent, weak_pin=event.weak_pin)
    if event.lent is not None and proved.patron is None:
        # The patron is known only now, so the patron's bans were not looked up yet.
        return _look_again(attempt, proved, now)
    return judge(replace(attempt, prepared=proved), now, rules)


def answer(attempt: Attempt, _event: Event, now: Now, rules: Rules) -> Step:
    """Judge once the reader's delay is over."""
    if due(attempt, now, late_s=PREPARE_LIMIT_S):
        return refused(attempt, Reason.FAULT)
    return judge(attempt, now, rules) if due(attempt, now) else (attempt, ())


def press(attempt: Attempt, event: KeyPressed, now: Now, rules: Rules) -> Step:
    """Take a key: how many companions the last patron brings, else part of a code.

    A code begins only when no companions may be said any more; its person waits for the door
    anyway. Where the house has closed, companions no longer count; in an unknown mode no key does.
    """
    company, over = attempt.company, due(attempt, now)
    if company is not None and not over:
        if now.mode is None:
            return attempt, ()
        if company.may_follow(now.mode):
            return _accompany(attempt, company, event.key)
    current = idle(attempt) if over or company is not None else attempt
    return _type_between(current, event.key, now, rules)


def _accompany(attempt: Attempt, company: Company, key: str) -> Step:
    companions = company.said(key)
    if companions is None:
        # Enter and clear mean no number: many press enter after a PIN.
        return replace(attempt, company=replace(company, wrong=key.isdigit())), ()
    said = (Accompanied(company.attempt, companions),) if companions else ()
    return idle(attempt), (*said, Clicked())


def _type_between(attempt: Attempt, key: str, now: Now, rules: Rules) -> Step:
    if not rules.policy.code_entry:
        expected = now.mode is Mode.SELF_SERVICE and not now.no_entry
        return attempt, (NoCode(lone=True),) if expected else ()
    pad = attempt.code_pad or CodePad(rules.pad, now.s, now.s)
    if key == ENTER and pad.code is not None:
        return _begun(attempt.last_number, (pad.code,), now)
    effects = (Clicked(), NoCode(lone=not pad.digits)) if key == ENTER else (Clicked(),)
    return replace(attempt, code_pad=pad.pressed(key, now.s)), effects


def _begun(
    last_number: int,
    identifiers: tuple[Identifier, ...],
    now: Now,
    card: CardRead | None = None,
    pad: PinPad | None = None,
) -> Step:
    number = last_number + 1
    version = now.cache_version
    begun = Attempt(Phase.TYPING, number, number, pad, cache_version=version, card=card)
    if pad is None:
        # Nothing is to be typed: a code is a PIN too, or none is required.
        begun = checking(begun, now)
    return begun, (Prepare(number, identifiers), Asked())


def clear_when_due(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    """Forget digits that were typed too long ago, and who can no longer be followed."""
    return (idle(attempt) if due(attempt, now) else attempt), ()


def clear(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """Forget digits that were typed before the daemon stood still."""
    return idle(attempt), ()


Reply = Prepared | PrepareFailed | LibraryAnswered
"""The answers to a question; each counts only for the attempt that asked it."""


def after(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Return the attempt as it stands after `event`, and what has to be done.

    A deadline counts for every event, not for `TimePassed` alone.
    """
    if isinstance(event, Reply) and event.attempt != attempt.number:
        return attempt, ()
    return TRANSITIONS[attempt.phase, type(event)].handler(attempt, event, now, rules)


def _begin(attempt: Attempt, event: CardRead, now: Now, rules: Rules) -> Step:
    pad = PinPad(rules.pad, now.s, now.s) if rules.policy.require_pin else None
    return _begun(attempt.last_number, event.identifiers, now, event, pad)


def _go_on(attempt: Attempt, event: CardRead, now: Now, rules: Rules) -> Step:
    """Go on with an attempt whose card is read again; with another card begin afresh.

    Slots read a card in and out, and a phone for as long as it is held there. What was typed stays,
    and the reading counts as a key does: the patron has more time, but not more in all.
    """
    again = attempt.card is not None and attempt.card.may_be(event)
    if not again or due(attempt, now):
        return _begin_afresh(attempt, event, now, rules)
    return replace(attempt, pad=attempt.pad and replace(attempt.pad, last_key_s=now.s)), ()


def _begin_afresh(attempt: Attempt, event: CardRead, now: Now, rules: Rules) -> Step:
    begun, effects = _begin(attempt, event, now, rules)
    # A guess that was made still counts: else a swipe before its answer would make each guess free.
    reason = attempt.withheld or Reason.PIN_TIMEOUT
    superseded = Concluded(attempt.number, reason, silent=True, unchecked=attempt.unchecked)
    return begun, (superseded, *effects)


def _complain(attempt: Attempt, event: CardUnreadable, _now: Now, _rules: Rules) -> Step:
    number = attempt.last_number + 1
    unreadable = Concluded(number, Reason.CARD_UNREADABLE, event.shape)
    return replace(attempt, last_number=number), (unreadable,)


def _type(attempt: Attempt, event: KeyPressed, now: Now, rules: Rules) -> Step:
    assert attempt.pad is not None  # noqa: S101 - typing has a pad
    if due(attempt, now):
        return refused(attempt, Reason.PIN_TIMEOUT)
    pad = attempt.pad.pressed(event.key, now.s)
    pin = pad.entered(event.key)
    prepared, seen = attempt.prepared, attempt.foreseen
    if pin is None:
        # Judged anew only where it must be: a key takes as long for each card.
        if seen is None or not seen.holds(now, rules):
            seen = _foreseen(attempt, prepared, now, rules)
        return replace(attempt, pad=pad, foreseen=seen), (Clicked(),)
    if seen and prepared and seen.holds(now, rules) and seen.proved_by(prepared.stretched, pin):
        answered, effects = concluded(attempt, seen.end, now)
    else:
        answered, effects = judge(checking(replace(attempt, pin=pin), now), now, rules)
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
        (_T, CardRead): Transition(_go_on, (_T,)),
        (_T, CardUnreadable): Transition(_complain, (_T,)),
        (_T, KeyPressed): Transition(_type, (_T, _C, _D, _A, _W, _I)),
        (_T, Prepared): Transition(keep, (_T, _C, _D, _I)),
        (_T, PrepareFailed): Transition(give_up, (_I,)),
        (_T, LibraryAnswered): Transition(ignore, (_T,)),
        (_T, TimePassed): Transition(_time_out, (_T, _I)),
        (_T, Stalled): Transition(give_up, (_I,)),
        (_C, CardRead): Transition(_go_on, (_T, _C)),
        (_C, CardUnreadable): Transition(_complain, (_C,)),
        (_C, KeyPressed): Transition(ignore, (_C,)),
        (_C, Prepared): Transition(keep_and_judge, (_C, _D, _A, _W, _I)),
        (_C, PrepareFailed): Transition(give_up, (_I,)),
        (_C, LibraryAnswered): Transition(ignore, (_C,)),
        (_C, TimePassed): Transition(give_up_when_due, (_C, _I)),
        (_C, Stalled): Transition(give_up, (_I,)),
        (_D, CardRead): Transition(_go_on, (_T, _C, _D)),
        (_D, CardUnreadable): Transition(_complain, (_D,)),
        (_D, KeyPressed): Transition(ignore, (_D,)),
        (_D, Prepared): Transition(ignore, (_D,)),
        (_D, PrepareFailed): Transition(ignore, (_D,)),
        (_D, LibraryAnswered): Transition(ignore, (_D,)),
        (_D, TimePassed): Transition(answer, (_D, _C, _A, _W, _I)),
        (_D, Stalled): Transition(give_up, (_I,)),
        (_A, CardRead): Transition(_go_on, (_T, _A)),
        (_A, CardUnreadable): Transition(_complain, (_A,)),
        (_A, KeyPressed): Transition(ignore, (_A,)),
        (_A, Prepared): Transition(ignore, (_A,)),
        (_A, PrepareFailed): Transition(ignore, (_A,)),
        (_A, LibraryAnswered): Transition(hear, (_A, _W, _C, _I)),
        (_A, TimePassed): Transition(give_up_when_due, (_A, _I)),
        (_A, Stalled): Transition(give_up, (_I,)),
        (_W, CardRead): Transition(_go_on, (_T, _W)),
        (_W, CardUnreadable): Transition(_complain, (_W,)),
        (_W, KeyPressed): Transition(ignore, (_W,)),
        (_W, Prepared): Transition(ignore, (_W,)),
        (_W, PrepareFailed): Transition(ignore, (_W,)),
        (_W, LibraryAnswered): Transition(ignore, (_W,)),
        (_W, TimePassed): Transition(give_up_when_due, (_W, _I)),
        (_W, Stalled): Transition(give_up, (_I,)),
    }
)
