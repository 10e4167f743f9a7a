"""From a prepared card and a PIN to the answer: delays, pushes, the library system's word.

Where the library system may be asked about a card that the cache can't judge, every refusal
before the PIN is proved is told when its answer would be due at the latest, asked or not: the
time must not tell which cards are known.
"""

from __future__ import annotations

from dataclasses import replace

from doorctl.access.judging import (
    compares_nothing,
    judged,
    opens_without_pin,
    refusal,
    worth_asking,
)
from doorctl.access.messages import (
    AskLibrary,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Now,
    Prepared,
    Rules,
)
from doorctl.access.phases import (
    PREPARE_LIMIT_S,
    Attempt,
    Phase,
    Step,
    concluded,
    due,
    refused,
)
from doorctl.access.reasons import BEFORE_PROOF, Reason


def keep(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Keep what is known of a card while the PIN is typed, or let it in by a pass at once.

    Who may enter by a pass without a PIN hears no question for it. All others are asked, whatever
    pass they hold: that a pass opens is seen by everybody, that one does not open by nobody.
    """
    assert isinstance(event, Prepared)  # noqa: S101 - the table's key says so
    kept = replace(attempt, prepared=event)
    if due(attempt, now) or not opens_without_pin(event, now, rules):
        return kept, ()
    return judge(checking(replace(kept, early=True), now), now, rules)


def keep_and_judge(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Judge by what has come at last."""
    assert isinstance(event, Prepared)  # noqa: S101 - the table's key says so
    if due(attempt, now):
        return refused(attempt, Reason.FAULT)
    return judge(replace(attempt, prepared=event), now, rules)


def checking(attempt: Attempt, now: Now) -> Attempt:
    """Return an attempt in which nothing more is typed."""
    return replace(attempt, phase=Phase.CHECKING, pad=None, until_s=now.s + PREPARE_LIMIT_S)


def judge(attempt: Attempt, now: Now, rules: Rules) -> Step:
    """Answer as soon as the row is there, the reader's delay over and the row up to date."""
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
    # Once the cache had a row, a push that takes it away is not undone by one that was lent.
    lent = prepared.lent if prepared.patron is None else None
    return again, (LookAgain(replace(prepared, lent=lent)),)


def _decide(attempt: Attempt, prepared: Prepared, now: Now, rules: Rules) -> Step:
    verdict = judged(prepared, attempt.pin, now, rules)
    if attempt.early and verdict.reason is not Reason.OK:
        # The pass ended while we looked: no guess was made, and the next swipe asks for a PIN.
        return refused(attempt, Reason.PIN_TIMEOUT)
    # Without a PIN: none is required, or it went out with the question, which is put once.
    if verdict.reason not in BEFORE_PROOF or attempt.pin is None or rules.ask_s is None:
        return concluded(attempt, verdict, now)
    until_s = now.s + rules.ask_s
    if not worth_asking(prepared, now, rules):
        return _withhold(attempt, verdict.reason, until_s)
    asking = replace(
        attempt, phase=Phase.ASKING, pin=None, withheld=verdict.reason, until_s=until_s
    )
    return asking, (AskLibrary(prepared, attempt.pin),)


def _withhold(attempt: Attempt, reason: Reason, until_s: float | None) -> Step:
    withheld = replace(attempt, phase=Phase.WITHHELD, withheld=reason, until_s=until_s)
    return replace(withheld, pin=None, prepared=None), ()


def hear(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
    """Take the library system's answer, if it comes in time."""
    assert isinstance(event, LibraryAnswered)  # noqa: S101 - the table's key says so
    assert attempt.prepared is not None  # noqa: S101 - asking has a card
    assert attempt.withheld is not None  # noqa: S101 - asking withholds
    if due(attempt, now):
        # Time itself tells what is withheld, as it does where nobody was asked.
        return attempt, ()
    if event.answer is not LibraryAnswer.YES:
        reason = refusal(attempt.prepared, event.answer, attempt.withheld)
        silent = event.answer is LibraryAnswer.SILENT
        unchecked = silent and compares_nothing(attempt.prepared, attempt.withheld)
        return _withhold(replace(attempt, unchecked=unchecked), reason, attempt.until_s)
    proved = replace(attempt.prepared, proved=True, lent=event.lent, weak_pin=event.weak_pin)
    if event.lent is not None and proved.patron is None:
        # Whose card it is, is known only now: nobody has looked for the patron's bans yet.
        return _look_again(attempt, proved, now)
    return judge(replace(attempt, prepared=proved), now, rules)


def tell(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """Tell what is withheld."""
    return _told(attempt)


def tell_when_due(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    """Tell what is withheld once an answer would be due."""
    return _told(attempt) if due(attempt, now) else (attempt, ())


def _told(attempt: Attempt) -> Step:
    assert attempt.withheld is not None  # noqa: S101 - a refusal is withheld
    return refused(attempt, attempt.withheld)


def answer(attempt: Attempt, _event: Event, now: Now, rules: Rules) -> Step:
    """Judge once the reader's delay is over."""
    if due(attempt, now, late_s=PREPARE_LIMIT_S):
        return refused(attempt, Reason.FAULT)
    return judge(attempt, now, rules) if due(attempt, now) else (attempt, ())


def give_up(attempt: Attempt, _event: Event, now: Now, _rules: Rules) -> Step:
    """End an attempt whose row does not come."""
    return refused(attempt, Reason.FAULT) if due(attempt, now) else (attempt, ())
