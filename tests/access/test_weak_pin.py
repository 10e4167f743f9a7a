"""What a PIN that is too easy to guess comes to, by the branch's policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import (
    Concluded,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Prepared,
    Rules,
)
from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import Case, Policy, WeakPin, findings
from doorctl.core.masked import Pin
from tests.access.samples import PATRON, RIGHT_PIN, ROW_KEY, STRETCHED, WRONG_PIN, moment, reason_of
from tests.access.telling import UNKNOWN, now
from tests.access.test_attempt_asking import ASKING_RULES, LENT, NO_PIN, answered, looked_up
from tests.access.test_judging import KNOWN, STAFF, verdict
from tests.access.test_policy_properties import cases, policies

WEAK = replace(KNOWN, patron=replace(PATRON, weak_pin=True))
REFUSE, WARN = Policy(weak_pin=WeakPin.REFUSE), Policy(weak_pin=WeakPin.WARN)
ALLOW = Policy(weak_pin=WeakPin.ALLOW)
NO_PIN_REFUSE, NO_PIN_WARN = replace(REFUSE, require_pin=False), replace(WARN, require_pin=False)


@pytest.mark.parametrize(
    ("prepared", "pin", "policies", "reason", "warned"),
    [
        # It opens, opens with a word, or is refused: after the proof nothing is hidden.
        (WEAK, RIGHT_PIN, [ALLOW], Reason.OK, False),
        (WEAK, RIGHT_PIN, [Policy(), WARN], Reason.OK, True),
        (WEAK, RIGHT_PIN, [REFUSE], Reason.WEAK_PIN, False),
        # Another PIN is not spoken of, and who guesses does not learn that it is an easy one.
        (KNOWN, RIGHT_PIN, [Policy(), WARN, REFUSE], Reason.OK, False),
        (WEAK, WRONG_PIN, [Policy(), WARN, REFUSE], Reason.WRONG_PIN, False),
        # A row may say so where no PIN is required: it was sealed for other branches too.
        (WEAK, None, [NO_PIN_WARN, NO_PIN_REFUSE], Reason.OK, False),
        (replace(KNOWN, patron=None), RIGHT_PIN, [WARN, REFUSE], Reason.UNKNOWN_CARD, False),
        # A pass takes no right away and gives none to the patron: so nothing is said either.
        (replace(WEAK, held=STAFF), RIGHT_PIN, [REFUSE], Reason.OK, False),
    ],
)
def test_what_a_weak_pin_comes_to(
    prepared: Prepared, pin: Pin | None, policies: list[Policy], reason: Reason, *, warned: bool
) -> None:
    """By the branch's policy, and only where the patron's own PIN opened."""
    for policy in policies:
        end = verdict(prepared, pin, policy=policy)
        assert (end.reason, end.weak_pin) == (reason, warned)


def test_staff_who_ask_why_are_told() -> None:
    """Without a swipe: the row says it."""
    case = Case(WEAK.patron, moment())

    assert findings(REFUSE, case)[-1].refused_with is Reason.WEAK_PIN
    assert findings(WARN, case)[-1].refused_with is None


@given(policies, cases, st.sampled_from(WeakPin))
def test_a_weak_pin_never_turns_a_refusal_into_a_grant(
    policy: Policy, case: Case, stricter: WeakPin
) -> None:
    """Nor does any of the three policies let somebody in whom `allow` keeps out."""
    patron = case.patron
    assert patron is not None
    weak = replace(case, patron=replace(patron, weak_pin=True))
    strong = replace(case, patron=replace(patron, weak_pin=False))

    if reason_of(policy, weak) is Reason.OK:
        assert reason_of(policy, strong) is Reason.OK
    if reason_of(replace(policy, weak_pin=stricter), case) is Reason.OK:
        assert reason_of(replace(policy, weak_pin=WeakPin.ALLOW), case) is Reason.OK


@given(policies, cases)
def test_only_refuse_refuses(policy: Policy, case: Case) -> None:
    """By `allow` and `warn` a flag changes nothing that is decided."""
    patron = case.patron
    assert patron is not None
    if policy.weak_pin is WeakPin.REFUSE:
        policy = replace(policy, weak_pin=WeakPin.WARN)
    weak = replace(case, patron=replace(patron, weak_pin=True))
    strong = replace(case, patron=replace(patron, weak_pin=False))

    assert reason_of(policy, weak) is reason_of(policy, strong)


@pytest.mark.parametrize("row", [replace(PATRON, pin_check=None), replace(WEAK.patron or PATRON)])
@pytest.mark.parametrize("is_weak", [True, False])
def test_what_the_library_system_proved_is_judged_by_that_pin(
    row: Patron, *, is_weak: bool
) -> None:
    """The row may tell of the PIN before: what counts is the one that was typed just now."""
    proved = Prepared(1, STRETCHED, ROW_KEY, row, proved=True, weak_pin=is_weak)

    told = verdict(proved, Pin("0000"), policy=REFUSE)

    assert told.reason is (Reason.WEAK_PIN if is_weak else Reason.OK)


ENDS = [
    (WeakPin.ALLOW, Concluded(1, Reason.OK, proved=True)),
    (WeakPin.WARN, Concluded(1, Reason.OK, weak_pin=True, proved=True)),
    (WeakPin.REFUSE, Concluded(1, Reason.WEAK_PIN, proved=True)),
]


def with_policy(rules: Rules, weak_pin: WeakPin) -> Rules:
    """Return rules with another policy about weak PINs."""
    return replace(rules, policy=replace(rules.policy, weak_pin=weak_pin))


@pytest.mark.parametrize("row", [UNKNOWN, NO_PIN], ids=["lent", "pushed without a PIN"])
@pytest.mark.parametrize(("policy", "end"), ENDS)
def test_a_pin_that_is_learnt_just_now_is_judged_at_once(
    row: Prepared, policy: WeakPin, end: Concluded
) -> None:
    """The first time and not only the next; also where a push comes meanwhile."""
    rules = with_policy(ASKING_RULES, policy)
    lent = replace(LENT, weak_pin=True) if row.patron is None else None
    yes = LibraryAnswered(1, LibraryAnswer.YES, lent, weak_pin=True)

    step = looked_up(answered(row, yes, rules=rules), now(5.0), rules)
    again = answered(row, yes, version=2, rules=rules)
    assert isinstance(again[1][0], LookAgain)
    later = looked_up(again, now(5.0, 2), rules)

    assert step[1] == later[1] == (end,)
