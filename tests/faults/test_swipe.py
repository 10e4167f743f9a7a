from __future__ import annotations

from tests.faults.calls import Fault
from tests.faults.enumeration import Plan, Strike
from tests.faults.swipe import HASTY, swipe


def test_the_relay_goes_on_only_with_an_attempt_on_record(struck: Strike) -> None:
    """Killed, no attempt that opened the door is lost; on a bad disk an alarm says what is missing.

    The run of all points is `python -m tests.faults swipe`.
    """
    found = struck(swipe(), Plan(10))

    assert found.violations == []
    assert found.kills + found.errors == 10


def test_a_relay_that_goes_on_before_the_record_is_caught(struck: Strike) -> None:
    """A harness that finds nothing where something is wrong proves nothing."""
    found = struck(swipe(HASTY), Plan(10))

    assert Fault.KILLED in {each.point.fault for each in found.struck if each.violations}
    assert any("no attempt is on record" in violation for violation in found.violations)
