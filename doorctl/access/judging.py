"""Judge an attempt by the card, the PIN and the library system's answer; holds no state.

What a typed PIN proves is the patron's, the pass's own, or either of them under duress. The work is
the same for every card, known or not: every HMAC is computed and every comparison is made, with
:data:`NO_PIN` where there is nothing to compare with.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TypeVar

from doorctl.access.messages import Concluded, LibraryAnswer, Now, Prepared, Rules
from doorctl.access.patron import BEFORE_PROOF, PIN_CHECK_BYTES, UNPROVED, Reason, pin_check
from doorctl.access.policy import (
    CLOCK_SLACK,
    Case,
    Decision,
    PinProof,
    WeakPin,
    closed,
    decide,
    knows_pin,
    opens_day,
)
from doorctl.access.rights import Pass, banned
from doorctl.core.masked import Pin, StretchedKey
from doorctl.core.moments import Moment

NO_PIN = bytes(PIN_CHECK_BYTES)
"""Stands in where there is nothing to compare with, so that the work is the same."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is known of a PIN; with `duress` all proofs rest on a last digit that is one higher.

    `held` says whether it is the PIN that the pass requires; without a pass or a PIN of its own, as
    `patron`.
    """

    patron: PinProof
    held: PinProof
    duress: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    proof: PinProof
    forced: bool = False


ProofT = TypeVar("ProofT", PinProof, _Answer)


def proofs(prepared: Prepared, pin: Pin | None, moment: Moment, *, duress: bool) -> Proofs:
    """Return what a PIN proves; `pin` is None where none was given.

    The library system checks the PIN as typed, so one that it calls right is never duress. With
    `duress` the PIN one higher counts too, and each card costs a second HMAC.
    """
    typed = () if pin is None else (pin, one_lower(pin)) if duress else (pin,)
    checks = tuple(pin_check(prepared.stretched, each) for each in typed)
    row, held = prepared.patron, prepared.held
    known = row.pin_check if row is not None and knows_pin(row, moment) else None
    patron = _compared(checks, known)
    own = _compared(checks, None if held is None else held.pin_check)
    if prepared.proved:
        patron = _Answer(PinProof.PROVED)
    own = pass_proof(held, patron, own, _Answer(PinProof.PROVED), by_code=prepared.by_code)
    proved = [answer.forced for answer in (patron, own) if answer.proof is PinProof.PROVED]
    return Proofs(patron.proof, own.proof, duress=bool(proved) and all(proved))


def pass_proof(
    held: Pass | None, patron: ProofT, own: ProofT, proved: ProofT, *, by_code: bool
) -> ProofT:
    """Return the proof that counts for a pass: the patron's, that of its own PIN, or `proved`."""
    if by_code and held is not None and not held.needs_pin:
        # A code is name and secret in one: typing it proves it.
        return proved
    return patron if held is None or held.pin_check is None else own


def one_lower(pin: Pin) -> Pin:
    """Return the PIN of which this one is the PIN under duress: 4719 -> 4718, 4710 -> 4719."""
    digits = pin.reveal()
    return Pin(f"{digits[:-1]}{(int(digits[-1]) - 1) % 10}")


def _compared(checks: tuple[bytes, ...], known: bytes | None) -> _Answer:
    matches = [hmac.compare_digest(check, known or NO_PIN) for check in checks]
    if not checks:
        return _Answer(PinProof.NOT_GIVEN)
    if known is None:
        return _Answer(PinProof.UNKNOWN)
    return _Answer(PinProof.PROVED if any(matches) else PinProof.WRONG, forced=not matches[0])


def judged(prepared: Prepared, pin: Pin | None, now: Now, rules: Rules) -> Concluded:
    """Return how an attempt ends by what is known now; `pin` is None where none was given.

    Of several passes the best opens: first one that requires no PIN, so that nothing shows whether
    the typed PIN was right. Where none opens, a refusal after a proved PIN goes first.
    """
    by_each = (
        _judged(replace(prepared, held=by), pin, now, rules) for by in prepared.passes or (None,)
    )
    return max(by_each, key=itemgetter(0))[1]


def _judged(
    prepared: Prepared, pin: Pin | None, now: Now, rules: Rules
) -> tuple[tuple[int, ...], Concluded]:
    known = _as_proved(_with_lent(prepared, now, rules))
    return _ranked(known, proofs(known, pin, now.moment, duress=rules.policy.duress), now, rules)


def _ranked(
    known: Prepared, proved: Proofs, now: Now, rules: Rules
) -> tuple[tuple[int, ...], Concluded]:
    """Return the end by at most one pass, and before it the key for the best of several."""
    decision = decide(rules.policy, case_of(known, proved, now, rules.branch))
    opens, _, shown = ranked = rank(known.held, decision)
    tags = frozenset[str]() if known.patron is None else known.patron.tags
    end = Concluded(
        known.attempt,
        decision.reason,
        duress=proved.duress and shown,
        long_release=opens and not tags.isdisjoint(rules.long_release_tags),
        companions_max=_companions(known, decision, rules),
        weak_pin=_warns(known, decision, rules),
        opens_day=opens and _opens_day(known, decision, rules),
        proved=shown and PinProof.PROVED in {proved.patron, proved.held},
    )
    gives = (end.opens_day, end.companions_max)
    return (*ranked, not end.duress, *gives), end


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The end after the right PIN, found before its last digit, so that only an HMAC is left.

    It holds from `since` to just before `until`, UTC, while everything else is as in `now`. Unknown
    cards have one too, for the same work: `known` is `NO_PIN` where no PIN can be proved.
    """

    now: Now
    since: datetime
    until: datetime
    known: bytes = field(repr=False)
    end: Concluded = field(repr=False)
    rules: Rules = field(repr=False)

    def holds(self, now: Now, rules: Rules) -> bool:
        """Tell whether :func:`judged` would come to the same end now."""
        then, moment = self.now, now.moment
        facts = (then.cache_version, then.mode, then.no_entry, then.opened_on, then.moment.state)
        if facts != (now.cache_version, now.mode, now.no_entry, now.opened_on, moment.state):
            return False
        if rules is not self.rules:
            return False
        if not moment.dependable:
            return moment.high_water == then.moment.high_water
        # Staff can lower the mark, and a ban that has begun by it goes on below it.
        lowered = moment.high_water < then.moment.high_water
        return not lowered and self.since <= moment.local and moment.latest_known < self.until

    def proved_by(self, stretched: StretchedKey, pin: Pin) -> bool:
        """Tell whether it is the right PIN, in constant time."""
        return hmac.compare_digest(pin_check(stretched, pin), self.known)


def foreseen(prepared: Prepared, now: Now, rules: Rules) -> Foreseen | None:
    """Judge a card as if its right PIN were typed; None where more than one HMAC will decide."""
    row, policy = prepared.patron, rules.policy
    by_more = prepared.held or prepared.lent or prepared.proved or prepared.delay_s
    if by_more or policy.duress:
        return None
    end = _ranked(prepared, Proofs(PinProof.PROVED, PinProof.PROVED), now, rules)[1]
    known = NO_PIN
    if row is not None and knows_pin(row, now.moment) and end.reason not in BEFORE_PROOF:
        known = row.pin_check or NO_PIN
    since = now.moment.local.astimezone(UTC)
    return Foreseen(now, since, min(_edges(prepared, since, rules)), known, end, rules)


def _edges(prepared: Prepared, since: datetime, rules: Rules) -> Iterator[datetime]:
    """Yield when the end may change next; all days end with a minute."""
    yield since.replace(second=0, microsecond=0) + timedelta(minutes=1)
    edges = [edge for ban in prepared.bans for edge in (ban.since, ban.until)]
    oldest, applied_at = rules.policy.max_cache_age, prepared.cache_applied_at
    if oldest is not None and applied_at is not None:
        edges += [applied_at - CLOCK_SLACK, applied_at + oldest]
    yield from (edge for edge in edges if edge is not None and edge >= since)


def rank(held: Pass | None, decision: Decision) -> tuple[bool, bool, bool]:
    """Return how good a decision by one of several passes is; the greatest counts.

    Whether it opens, whether without a PIN, and whether it refuses only after a proved PIN.
    """
    shown = decision.reason not in UNPROVED
    return decision.reason is Reason.OK, _opened_unasked(held, decision), shown


def case_of(known: Prepared, proved: Proofs, now: Now, branch: str) -> Case:
    """Return the facts for a decision at the branch named; a library system's row is left out."""
    return Case(
        patron=known.patron,
        moment=now.moment,
        pin=proved.patron,
        throttled=known.throttled,
        banned=banned(known.bans, now.moment, branch),
        cache_applied_at=known.cache_applied_at,
        cache_minimum_age=known.cache_minimum_age,
        mode=now.mode,
        no_entry=now.no_entry,
        held=known.held,
        pass_pin=proved.held,
        opened_on=now.opened_on,
        damaged=known.damaged,
    )


def _with_lent(prepared: Prepared, now: Now, rules: Rules) -> Prepared:
    row = prepared.patron
    if prepared.lent is None or (row is not None and row.pushed):
        return prepared
    # Requested just now and sealed here: it is as fresh as can be, and for today's age limit.
    return replace(
        prepared,
        patron=prepared.lent,
        cache_applied_at=now.moment.known_time,
        cache_minimum_age=rules.policy.minimum_age,
    )


def _as_proved(known: Prepared) -> Prepared:
    if known.patron is None or not known.proved:
        return known
    # About the PIN that the library system has just called right; the row may mean an older PIN.
    return replace(known, patron=replace(known.patron, weak_pin=known.weak_pin))


def _warns(known: Prepared, decision: Decision, rules: Rules) -> bool:
    policy = rules.policy
    if policy.weak_pin is not WeakPin.WARN or not policy.require_pin or known.patron is None:
        return False
    return (
        decision.by_patron and not _opened_unasked(known.held, decision) and known.patron.weak_pin
    )


def _opens_day(known: Prepared, decision: Decision, rules: Rules) -> bool:
    by_each = ((known.patron, decision.by_patron), (known.held, decision.by_pass))
    return any(
        by and holder is not None and opens_day(rules.policy, holder) for holder, by in by_each
    )


def _companions(known: Prepared, decision: Decision, rules: Rules) -> int:
    by_own_pin = decision.by_patron and not _opened_unasked(known.held, decision)
    by_patron = rules.policy.companions_max if by_own_pin else 0
    by_pass = known.held.companions_max if known.held is not None and decision.by_pass else 0
    return max(by_patron, by_pass)


def _opened_unasked(held: Pass | None, decision: Decision) -> bool:
    """Tell whether it opens with any PIN: then nothing may show that the typed PIN was right."""
    return decision.by_pass and held is not None and not held.needs_pin


def opens_without_pin(prepared: Prepared, now: Now, rules: Rules) -> bool:
    """Tell whether a pass lets its card in now without a PIN."""
    if all(held.needs_pin for held in prepared.passes):
        return False
    return judged(prepared, None, now, rules).reason is Reason.OK


def worth_asking(prepared: Prepared, now: Now, rules: Rules) -> bool:
    """Tell whether the library system may prove a PIN that nothing here proves.

    None of the patron's few tries there is spent on a card that has to wait, on a PIN that would
    open nothing now, or on one that a push brought; a learnt PIN may have been changed.
    """
    if prepared.throttled:
        return False
    row = prepared.patron
    pushed = row is not None and row.pin_check is not None and row.pin_until is None
    return not pushed and (_open(now) or _pass_may_open(prepared, now, rules))


def _open(now: Now) -> bool:
    case = Case(None, now.moment, mode=now.mode, no_entry=now.no_entry)
    return closed(case.mode_for_entry, now.moment) is None


def _pass_may_open(prepared: Prepared, now: Now, rules: Rules) -> bool:
    """Tell whether the patron's right PIN would let the pass's holder in."""
    right = Proofs(PinProof.PROVED, PinProof.PROVED)
    return any(
        decide(
            rules.policy, case_of(replace(prepared, held=held), right, now, rules.branch)
        ).by_pass
        for held in prepared.passes
        if held.pin_check is None
    )


def compares_nothing(prepared: Prepared, withheld: Reason) -> bool:
    """Tell whether there was no PIN to compare with, so that the refused PIN was no guess."""
    has_own_pin = any(held.pin_check is not None for held in prepared.passes)
    return withheld in {Reason.UNKNOWN_CARD, Reason.PIN_UNKNOWN} and not has_own_pin


def refusal(prepared: Prepared, answer: LibraryAnswer, withheld: Reason) -> Reason:
    """Return the refusal after any answer but yes; `withheld` is the refusal without an answer."""
    if answer is LibraryAnswer.NO:
        unknown = prepared.patron is None and not prepared.damaged
        return Reason.UNKNOWN_CARD if unknown else Reason.WRONG_PIN
    return Reason.THROTTLED if answer is LibraryAnswer.WAITS else withheld
