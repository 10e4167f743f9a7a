from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.hours import Span, WeeklyHours
from doorctl.access.patron import Patron
from doorctl.access.policy import (
    CHECKS,
    KNOWN_BLOCKS,
    Case,
    PinProof,
    Policy,
    decide,
    findings,
)
from doorctl.access.reasons import Reason
from doorctl.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN, HIGH_WATER, NOW, day, moment

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
PROVED = PinProof.PROVED
DAY = timedelta(days=1)

codes = st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "Y"]), max_size=2)
dates = st.none() | st.integers(-15, 5).map(day)
applied = st.none() | st.integers(0, 400).map(lambda hours: NOW.astimezone(UTC) - hours * DAY / 24)
spans = st.builds(
    lambda opens, length: Span(opens, opens + length), st.integers(0, 1439), st.integers(1, 1500)
)
hours_tables = st.tuples(*[st.lists(spans, max_size=2).map(tuple)] * 7).map(WeeklyHours)
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
)
cases = st.builds(
    Case,
    patron_rows,
    st.sampled_from(ClockState).map(moment),
    st.sampled_from([PROVED, PROVED, PinProof.WRONG]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
    applied,
)
policies = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=codes,
    deny_other_blocks=st.booleans(),
    max_cache_age=st.none() | st.integers(1, 400).map(lambda hours: hours * DAY / 24),
    hours=st.none() | hours_tables,
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


def narrow_hours(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Close on one day, or set hours where there were none."""
    if policy.hours is None:
        return replace(policy, hours=data.draw(hours_tables)), case
    closed = data.draw(st.integers(0, 6))
    days = tuple(() if at == closed else spans for at, spans in enumerate(policy.hours.days))
    return replace(policy, hours=WeeklyHours(days)), case


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
        ),
        case,
    )


def unset_clock(
    _data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Lose the clock; a cache whose age can no longer be told is another matter."""
    return replace(policy, max_cache_age=None), replace(case, moment=moment(UNTRUSTED))


WORSENINGS: dict[str, Worsening] = {
    "a block more": add_block,
    "not resident": changed(resident=False),
    "restricted": changed(restricted=True),
    "inactive": changed(active=False),
    "too young": changed(enter_from=day(30)),
    "expired": changed(valid_until=day(-30)),
    "on hold": changed(hold_from=day(-30), hold_until=None),
    "hours": narrow_hours,
    "cache": age_cache,
    "rules": deny_more,
    "clock": unset_clock,
    "banned": lambda _data, policy, case, _patron: (policy, replace(case, banned=True)),
    "throttled": lambda _data, policy, case, _patron: (policy, replace(case, throttled=True)),
    "wrong PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.WRONG)),
}


@pytest.mark.parametrize("name", WORSENINGS)
@given(policies, cases, st.data())
def test_nothing_bad_ever_helps(name: str, policy: Policy, case: Case, data: st.DataObject) -> None:
    """Whoever comes in with something more against them would have come in without it."""
    assert case.patron is not None
    worse_policy, worse_case = WORSENINGS[name](data, policy, case, case.patron)

    if decide(worse_policy, worse_case) is Reason.OK:
        relaxed = replace(policy, max_cache_age=None) if name == "clock" else policy
        assert decide(relaxed, case) is Reason.OK


@given(policies, cases)
def test_explanation_and_decision_agree(policy: Policy, case: Case) -> None:
    """The first refusal that staff are shown is the one that the patron got."""
    shown = [finding.refused_with for finding in findings(policy, case)]
    refusals = [reason for reason in shown if reason is not None]

    assert decide(policy, case) is (refusals[0] if refusals else Reason.OK)
    assert len(shown) == 1 + len(CHECKS)


@given(policies, cases)
def test_holdover_is_as_good_as_trusted(policy: Policy, case: Case) -> None:
    """A clock that carries itself on within its limit decides like one that is set."""
    carried = replace(case, moment=moment(ClockState.HOLDOVER))
    set_right = replace(case, moment=moment(TRUSTED))

    assert decide(policy, carried) is decide(policy, set_right)


@given(policies, patron_rows, st.datetimes(datetime(2026, 3, 2), datetime(2040, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_an_unset_clocks_guess_decides_nothing(
    policy: Policy, patron: Patron, guess: datetime
) -> None:
    """While the clock is unset only the high-water mark counts, whatever the clock shows."""
    guessed = Moment(guess.replace(tzinfo=COPENHAGEN), HIGH_WATER, UNTRUSTED)
    other = Case(patron, guessed, PROVED, cache_applied_at=HIGH_WATER)
    case = Case(patron, moment(UNTRUSTED), PROVED, cache_applied_at=HIGH_WATER)

    assert decide(policy, case) is decide(policy, other)


@given(patron_rows)
def test_an_unset_clock_refuses_nobody_without_dates(patron: Patron) -> None:
    """Without hours and dates the door works before the clock is set."""
    undated = replace(patron, enter_from=None, valid_until=None, hold_from=None)
    reasons = {
        decide(Policy(), Case(undated, moment(state), PROVED)) for state in (TRUSTED, UNTRUSTED)
    }

    assert len(reasons) == 1
    assert reasons != {Reason.CLOCK_UNTRUSTED}
