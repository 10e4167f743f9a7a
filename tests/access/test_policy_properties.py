from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, Mode
from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import (
    CHECKS,
    KNOWN_BLOCKS,
    PASS_CHECKS,
    Case,
    PinProof,
    Policy,
    WeakPin,
    findings,
)
from doorctl.access.rights import EVERY_DAY, OPEN_BY_ANY_CLOCK, Pass, PassKind
from doorctl.core.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN, HIGH_WATER, NOW, day, moment, reason_of

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
PROVED = PinProof.PROVED
DAY = timedelta(days=1)

codes = st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "Y"]), max_size=2)
dates = st.none() | st.integers(-15, 5).map(day)
applied = st.none() | st.integers(0, 400).map(lambda hours: NOW.astimezone(UTC) - hours * DAY / 24)
patron_rows = st.builds(
    Patron,
    st.just("1001"),
    resident=st.booleans(),
    active=st.sampled_from([True, True, False]),
    blocks=codes,
    restricted=st.sampled_from([False, False, True]),
    enter_from=dates,
    valid_until=dates,
    hold_from=dates,
    hold_until=dates,
    weak_pin=st.booleans(),
    tags=st.sampled_from([frozenset(), frozenset({"caretaker"})]),
)
modes = st.sampled_from([Mode.SELF_SERVICE, *Mode, None])
pass_rows = st.builds(
    Pass,
    st.just(1),
    st.sampled_from([PassKind.CLEANER, PassKind.STAFF]),
    st.sampled_from([-20, 0, 1]).map(day),
    st.integers(1, 20).map(day),
    weekdays=st.sampled_from([EVERY_DAY, EVERY_DAY, frozenset({3}), frozenset({1})]),
    from_minute=st.sampled_from([0, 19 * 60]),
    to_minute=st.sampled_from([DAY_MINUTES, 19 * 60 + 1]),
    outside_hours=st.booleans(),
    label=st.just("club"),
    needs_pin=st.booleans(),
)
cases = st.builds(
    Case,
    patron_rows,
    st.sampled_from(ClockState).map(moment),
    st.sampled_from([PROVED, PROVED, PinProof.WRONG, PinProof.UNKNOWN]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
    applied,
    mode=modes,
    no_entry=st.sampled_from([False, False, True]),
    held=st.none() | pass_rows,
    pass_pin=st.sampled_from([PROVED, *PinProof]),
    opened_on=st.sampled_from([None, day(-1), day(0)]),
)
policies = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=codes,
    deny_other_blocks=st.booleans(),
    max_cache_age=st.none() | st.integers(1, 400).map(lambda hours: hours * DAY / 24),
    weak_pin=st.sampled_from(WeakPin),
    first_card=st.sampled_from([frozenset(), frozenset({"cleaner"}), frozenset({"caretaker"})]),
)

Worsening = Callable[[st.DataObject, Policy, Case, Patron], tuple[Policy, Case]]


def changed(**changes: object) -> Worsening:
    """Return a worsening that changes the patron's row."""
    return lambda _data, policy, case, patron: (
        policy,
        replace(case, patron=replace(patron, **changes)),  # type: ignore[arg-type]
    )


def add_block(
    data: st.DataObject, policy: Policy, case: Case, patron: Patron
) -> tuple[Policy, Case]:
    """Add blocks."""
    return policy, replace(case, patron=replace(patron, blocks=patron.blocks | data.draw(codes)))


NARROWER: dict[Mode | None, list[Mode | None]] = {
    Mode.STAFFED: [*Mode, None],
    Mode.SELF_SERVICE: [*Mode, None],
    Mode.CLOSED: [Mode.CLOSED, Mode.LOCKDOWN],
    Mode.LOCKDOWN: [Mode.LOCKDOWN],
    None: [Mode.CLOSED, Mode.LOCKDOWN, None],
}
"""What the branch may be in place of a mode so that nobody gains a right."""


def narrow_hours(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Open less, or forget what the hours are."""
    narrower = NARROWER[case.mode]
    if policy.first_card and case.mode is Mode.SELF_SERVICE:
        narrower = [one for one in narrower if one is not Mode.STAFFED]
    return policy, replace(case, mode=data.draw(st.sampled_from(narrower)))


def narrow_pass(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Take something from a pass."""
    held = case.held
    if held is None:
        return policy, case
    narrower = [
        replace(held, outside_hours=False),
        replace(held, needs_pin=True),
        replace(held, weekdays=held.weekdays - {3} or frozenset({1})),
        replace(held, to_minute=19 * 60 + 1),
        replace(held, first_day=held.last_day),
        # No first day that is further back: by an unset clock one that lay ahead would have begun.
        replace(held, first_day=min(held.first_day, day(-1)), last_day=day(-1)),
    ]
    return policy, replace(case, held=data.draw(st.sampled_from(narrower)))


def age_cache(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Let the push have come earlier."""
    if case.cache_applied_at is None:
        return policy, case
    older = case.cache_applied_at - data.draw(st.integers(1, 400)) * DAY / 24
    return policy, replace(case, cache_applied_at=older)


def deny_more(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Tighten the branch's own rules."""
    return (
        replace(
            policy,
            require_pin=True,
            require_resident=True,
            deny_other_blocks=True,
            deny_blocks=policy.deny_blocks | data.draw(codes),
            max_cache_age=min(policy.max_cache_age or 9999 * DAY, DAY),
            weak_pin=WeakPin.REFUSE,
        ),
        case,
    )


def unset_clock(
    _data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Lose the clock.

    A cache whose age can no longer be told is another matter, and who comes to set the clock too.
    """
    sets_the_clock = case.held is not None and case.held.kind in OPEN_BY_ANY_CLOCK
    held = None if sets_the_clock else case.held
    unset = replace(case, moment=moment(UNTRUSTED), held=held)
    return replace(policy, max_cache_age=None), unset


WORSENINGS: dict[str, Worsening] = {
    "a block more": add_block,
    "not resident": changed(resident=False),
    "restricted": changed(restricted=True),
    "inactive": changed(active=False),
    "too young": changed(enter_from=day(30)),
    "expired": changed(valid_until=day(-30)),
    "weak PIN": changed(weak_pin=True),
    "on hold": changed(hold_from=day(-30), hold_until=None),
    "hours": narrow_hours,
    "cache": age_cache,
    "rules": deny_more,
    "clock": unset_clock,
    "pass": narrow_pass,
    "no pass": lambda _data, policy, case, _patron: (policy, replace(case, held=None)),
    "pass PIN": lambda _data, policy, case, _patron: (
        policy,
        replace(case, pass_pin=PinProof.WRONG),
    ),
    "not opened": lambda _data, policy, case, _patron: (policy, replace(case, opened_on=None)),
    "first card": lambda _data, policy, case, _patron: (
        replace(policy, first_card=policy.first_card or frozenset({"caretaker"})),
        case,
    ),
    "no entry": lambda _data, policy, case, _patron: (policy, replace(case, no_entry=True)),
    "banned": lambda _data, policy, case, _patron: (policy, replace(case, banned=True)),
    "throttled": lambda _data, policy, case, _patron: (policy, replace(case, throttled=True)),
    "wrong PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.WRONG)),
    "no PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.UNKNOWN)),
}


@pytest.mark.parametrize("name", WORSENINGS)
@given(policies, cases, st.data())
def test_nothing_bad_ever_helps(name: str, policy: Policy, case: Case, data: st.DataObject) -> None:
    """Whoever comes in with something more against them would have come in without it."""
    assert case.patron is not None
    worse_policy, worse_case = WORSENINGS[name](data, policy, case, case.patron)

    if reason_of(worse_policy, worse_case) is Reason.OK:
        relaxed = replace(policy, max_cache_age=None) if name == "clock" else policy
        assert reason_of(relaxed, case) is Reason.OK


@given(policies, cases)
def test_explanation_and_decision_agree(policy: Policy, case: Case) -> None:
    """Staff are shown what the patron got: a first refusal of either table, or one without any."""
    shown = [finding.refused_with for finding in findings(policy, case)]
    patrons, passes = shown[: 1 + len(CHECKS)], shown[1 + len(CHECKS) :]
    tables = [patrons] if case.held is None else [patrons, passes]
    answers = [next((it for it in table if it is not None), Reason.OK) for table in tables]

    assert len(passes) == (0 if case.held is None else len(PASS_CHECKS))
    assert reason_of(policy, case) in answers
    assert (reason_of(policy, case) is Reason.OK) == (Reason.OK in answers)


@given(policies, cases)
def test_holdover_is_as_good_as_trusted(policy: Policy, case: Case) -> None:
    """A clock that carries itself on within its limit decides like one that is set."""
    carried = replace(case, moment=moment(ClockState.HOLDOVER))
    set_right = replace(case, moment=moment(TRUSTED))

    assert reason_of(policy, carried) is reason_of(policy, set_right)


@given(policies, patron_rows, st.datetimes(datetime(2026, 3, 2), datetime(2040, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_an_unset_clocks_guess_decides_nothing(
    policy: Policy, patron: Patron, guess: datetime
) -> None:
    """While the clock is unset only the high-water mark counts, whatever the clock shows."""
    guessed = Moment(guess.replace(tzinfo=COPENHAGEN), HIGH_WATER, UNTRUSTED)
    other = Case(patron, guessed, PROVED, cache_applied_at=HIGH_WATER)
    case = Case(patron, moment(UNTRUSTED), PROVED, cache_applied_at=HIGH_WATER)

    assert reason_of(policy, case) is reason_of(policy, other)


@given(patron_rows)
def test_an_unset_clock_refuses_nobody_without_dates(patron: Patron) -> None:
    """Without hours and dates the door works before the clock is set."""
    undated = replace(patron, enter_from=None, valid_until=None, hold_from=None)
    reasons = {
        reason_of(Policy(), Case(undated, moment(state), PROVED)) for state in (TRUSTED, UNTRUSTED)
    }

    assert len(reasons) == 1
    assert reasons != {Reason.CLOCK_UNTRUSTED}
