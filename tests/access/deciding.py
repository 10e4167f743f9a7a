"""The decision's reason alone, for tests that ask for no more."""

from __future__ import annotations

from doorctl.access.patron import Reason
from doorctl.access.policy import Case, Policy, decide


def reason_of(policy: Policy, case: Case) -> Reason:
    """Return how a case ends."""
    return decide(policy, case).reason
