from __future__ import annotations

import os

import pytest

from tests.faults.enumeration import Found, Plan, Scenario, Strike, enumerated
from tests.faults.tracing import is_here


@pytest.fixture
def struck() -> Strike:
    """Strike a scenario, where that can be done."""
    if not is_here():
        why = "strace is not installed or may not trace"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why}; CI has to have it")
        pytest.skip(why)

    def strike(scenario: Scenario, plan: Plan) -> Found:
        return enumerated(scenario, plan, lambda _of, _done: None)

    return strike
