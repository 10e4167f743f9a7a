"""What the counts come to at their edges: forgiven hour by hour, and with no time on record."""

from __future__ import annotations

import pytest

from doorctl.access.throttle import FORGIVEN_MS, READER_REFILL_MS, CardThrottle, ReaderThrottle
from doorctl.access.throttle import codes_left as left
from doorctl.core.moments import BootTime


@pytest.mark.parametrize(
    ("later_ms", "still_count"),
    [(0, 3), (FORGIVEN_MS - 1, 3), (FORGIVEN_MS, 2), (3 * FORGIVEN_MS, 0), (9 * FORGIVEN_MS, 0)],
)
def test_each_hour_forgives_one_wrong_code(later_ms: int, still_count: int) -> None:
    """To the millisecond, and never more than there were."""
    throttle = CardThrottle(3, BootTime("a", 0))

    assert left(throttle, BootTime("a", later_ms)) == still_count


def test_what_a_reader_owes_since_nobody_knows_when_is_owed_whole() -> None:
    """Time that is on no record forgives nothing."""
    now = BootTime("a", 5_000)

    assert ReaderThrottle(READER_REFILL_MS).left(now) == ReaderThrottle(READER_REFILL_MS, now)
