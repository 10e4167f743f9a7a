from __future__ import annotations

from datetime import UTC, datetime

import pytest

from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import Case, PinProof, Policy
from doorctl.core.moments import ClockState, Moment
from tests.access.deciding import reason_of

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sealed_for", "reason"), [(0, Reason.CACHE_TOO_OLD), (14, Reason.OK), (18, Reason.OK)]
)
def test_rows_sealed_for_a_lower_age_limit_let_nobody_in(sealed_for: int, reason: Reason) -> None:
    """A row without a date was old enough for the limit of then; for a higher one it is doubt."""
    case = Case(
        patron=Patron("1", resident=True),
        moment=Moment(NOW, NOW, ClockState.TRUSTED),
        pin=PinProof.PROVED,
        cache_minimum_age=sealed_for,
    )

    assert reason_of(Policy(minimum_age=14), case) is reason
