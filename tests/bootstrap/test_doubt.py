"""A clock that was set back is doubted aloud, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from doorctl.bootstrap.doubt import CLOCK_DOUBT, ClockDoubt, is_set_back
from doorctl.moments import ClockState, Moment

NOW = datetime(2026, 11, 25, 19, tzinfo=UTC)
A_LITTLE = timedelta(seconds=1)


def moment(ahead: timedelta, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment whose high-water mark is so far ahead."""
    return Moment(NOW, NOW + ahead, state)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [(timedelta(0), False), (CLOCK_DOUBT, False), (CLOCK_DOUBT + A_LITTLE, True)],
)
def test_more_than_a_day_is_no_drift(ahead: timedelta, *, expected: bool) -> None:
    """A clock that somebody vouches for is that far behind only if it, or an earlier one, lied."""
    assert is_set_back(moment(ahead)) is expected


def test_a_clock_that_nobody_vouches_for_is_not_doubted_on_top() -> None:
    """It is behind at every start without a network."""
    assert not is_set_back(moment(timedelta(days=400), ClockState.UNTRUSTED))


def test_it_is_told_once() -> None:
    """An alarm that comes back every ten minutes for a year is one that nobody reads."""
    told: list[tuple[str, str]] = []
    doubt = ClockDoubt(lambda kind, why: told.append((kind, why)))
    doubt.look(moment(timedelta(0)))
    for _ in range(3):
        doubt.look(moment(timedelta(days=400)))

    ((kind, why),) = told
    assert kind == "clock_set_back"
    assert "2027-12-30" in why
