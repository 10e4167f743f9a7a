"""Nobody before whom the branch waits for: each kind, mode, clock and day, said in other words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from doorctl.access.calendar import Mode
from doorctl.access.judging import judged
from doorctl.access.messages import Now, PadRules, Prepared, Rules
from doorctl.access.patron import Reason
from doorctl.access.policy import Case, PinProof, Policy, decide, findings
from doorctl.access.rights import Pass, PassKind
from doorctl.core.moments import ClockState
from tests.access.samples import PATRON, RIGHT_PIN, ROW_KEY, STRETCHED, WRONG_PIN, day, moment

CARETAKER = replace(PATRON, tags=frozenset({"caretaker"}))
WAITS = Policy(first_card=frozenset({"caretaker", "cleaner"}))
DAYS = (None, day(-1), day(0), day(1))


def held(kind: PassKind, *, outside: bool = False) -> Pass:
    """Return a pass that opens just now, and needs no PIN."""
    return Pass(1, kind, day(-20), day(20), label="x", needs_pin=False, outside_hours=outside)


@pytest.mark.parametrize("policy", [Policy(), WAITS])
@pytest.mark.parametrize("clock", ClockState)
def test_every_patron_in_every_mode(policy: Policy, clock: ClockState) -> None:
    """Whom it waits for comes in, others once it was opened that very day; else it is closed."""
    for patron, mode, no_entry, opened_on in product(
        (PATRON, CARETAKER), (*Mode, None), (False, True), DAYS
    ):
        case = Case(
            patron,
            moment(clock),
            PinProof.PROVED,
            mode=mode,
            no_entry=no_entry,
            opened_on=opened_on,
        )
        without = decide(Policy(), case).reason
        opened = opened_on == day(0) and clock is not ClockState.UNTRUSTED
        waits = policy is WAITS and patron is PATRON and mode is Mode.SELF_SERVICE
        expected = Reason.CLOSED if waits and not opened and without is Reason.OK else without

        assert decide(policy, case).reason is expected, case


@pytest.mark.parametrize("kind", PassKind)
@pytest.mark.parametrize("outside", [False, True])
def test_every_pass_in_every_mode(kind: PassKind, *, outside: bool) -> None:
    """Only a pass that opens in open hours alone waits, unless its kind is one that opens."""
    for clock, mode, opened_on in product(ClockState, (*Mode, None), DAYS):
        case = Case(
            None, moment(clock), mode=mode, held=held(kind, outside=outside), opened_on=opened_on
        )
        without = decide(Policy(require_pin=False), case).reason
        opened = opened_on == day(0) and clock is not ClockState.UNTRUSTED
        free = outside or kind in {PassKind.STAFF, PassKind.EMERGENCY, PassKind.CLEANER}
        waits = mode is Mode.SELF_SERVICE and not opened and not free
        expected = Reason.CLOSED if waits and without is Reason.OK else without

        policy = replace(WAITS, require_pin=False)
        assert decide(policy, case).reason is expected, case
        told = {one.check: one.refused_with for one in findings(policy, case)}
        if waits:
            assert told["pass_first_card"] is Reason.CLOSED


@pytest.mark.parametrize(
    ("prepared", "opens_day"),
    [
        (Prepared(1, STRETCHED, ROW_KEY, CARETAKER), True),
        (Prepared(1, STRETCHED, ROW_KEY, None, held=held(PassKind.STAFF)), True),
        (Prepared(1, STRETCHED, ROW_KEY, None, held=held(PassKind.CLEANER)), True),
        (Prepared(1, STRETCHED, ROW_KEY, None, held=held(PassKind.EMERGENCY)), False),
        (Prepared(1, STRETCHED, ROW_KEY, PATRON, held=held(PassKind.STAFF)), True),
        (Prepared(1, STRETCHED, ROW_KEY, CARETAKER, held=held(PassKind.EMERGENCY)), True),
        (Prepared(1, STRETCHED, ROW_KEY, PATRON), False),
        (
            Prepared(
                1, STRETCHED, ROW_KEY, None,
                held=replace(held(PassKind.CLASS), companions_max=9),
                older=(held(PassKind.CLEANER),),
            ),
            True,
        ),
    ],
)  # fmt: skip
def test_whose_entry_opens_the_day(prepared: Prepared, *, opens_day: bool) -> None:
    """A tag, a named kind or staff, by the right that let them in; nobody without such a rule.

    Bug (outside look): nobody could be waited for: on a morning on which no cleaner and no
    staff came, patrons were let in all the same.
    """
    now = Now(0.0, moment(), 1, opened_on=day(0))
    rules = Rules(WAITS, PadRules())

    assert judged(prepared, RIGHT_PIN, now, rules).opens_day is opens_day
    assert not judged(prepared, RIGHT_PIN, now, Rules(Policy(), PadRules())).opens_day
    banned = replace(now, mode=Mode.LOCKDOWN)
    assert not judged(prepared, RIGHT_PIN, banned, rules).opens_day


def test_a_tag_opens_the_day_by_a_right_pin_alone() -> None:
    """Whoever comes in by a pass with the caretaker's card is not thereby the caretaker."""
    prepared = Prepared(1, STRETCHED, ROW_KEY, CARETAKER, held=held(PassKind.CLASS))
    now = Now(0.0, moment(), 1, opened_on=day(0))
    verdict = judged(prepared, WRONG_PIN, now, Rules(WAITS, PadRules()))

    assert (verdict.reason, verdict.opens_day) == (Reason.OK, False)
