from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.apply import HASTY, TORN, Apply, scenarios
from tests.faults.enumeration import Plan, Strike
from tests.faults.swipe import RELAY_FIRST, swipe
from tests.faults.tracing import Fault

SLICE = 6
"""Points of each scenario; `python -m tests.faults` has all of them."""


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_a_push_is_applied_whole_or_not_at_all_wherever_it_is_struck(
    struck: Strike, scenario: Apply
) -> None:
    """Killed, on a failing disk and on a full one: push k or k + 1, and k + 1 once acknowledged.

    The file is sound, nothing is left lying about, and the same push sent again is taken. The
    run of all points is `python -m tests.faults apply`.
    """
    found = struck(scenario, Plan(SLICE))

    assert found.violations == []
    assert found.kills + found.errors == len(found.struck) == SLICE
    assert len({each.point.fault for each in found.struck}) > 3


@pytest.mark.parametrize(
    ("flaw", "told"),
    [(TORN, "neither the push before nor this one is whole"), (HASTY, "acknowledged, but not")],
)
def test_a_driver_that_commits_in_two_parts_or_answers_too_early_is_caught(
    struck: Strike, flaw: str, told: str
) -> None:
    """A harness that finds nothing where something is wrong proves nothing."""
    small, *_ = scenarios()

    found = struck(replace(small, flaw=flaw), Plan(4))

    assert any(told in violation for violation in found.violations)


def test_the_relay_goes_on_only_with_an_attempt_on_record(struck: Strike) -> None:
    """Killed, no attempt that opened the door is lost; on a bad disk an alarm says what is missing.

    The run of all points is `python -m tests.faults swipe`.
    """
    found = struck(swipe(), Plan(10))

    assert found.violations == []
    assert found.kills + found.errors == 10


def test_a_relay_that_goes_on_before_the_record_is_caught(struck: Strike) -> None:
    """A harness that finds nothing where something is wrong proves nothing."""
    found = struck(swipe(RELAY_FIRST), Plan(10))

    assert Fault.KILLED in {each.point.fault for each in found.struck if each.violations}
    assert any("no attempt is on record" in violation for violation in found.violations)
