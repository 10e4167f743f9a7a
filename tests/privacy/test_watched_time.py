from __future__ import annotations

from datetime import timedelta

import pytest

from doorctl.privacy.retention import WATCHED_S, WatchedTime
from tests.fakes.clock import START, FakeClock

YEARS = timedelta(days=1400)


def stands(watched: WatchedTime, clock: FakeClock) -> bool:
    """Look once."""
    return watched.stands(clock.moment(), clock.monotonic_s())


def test_a_time_stands_once_it_has_run_evenly_for_hours() -> None:
    """And not a second before; a clock that is slewed meanwhile runs evenly."""
    watched, clock = WatchedTime(), FakeClock()
    assert not stands(watched, clock)

    clock.advance(WATCHED_S - 1)
    clock.step(clock.wall + timedelta(minutes=59))
    assert not stands(watched, clock)

    clock.advance(1)
    assert stands(watched, clock)


@pytest.mark.parametrize("leap", [YEARS, -YEARS, timedelta(hours=1)])
def test_a_clock_that_was_set_is_watched_anew(leap: timedelta) -> None:
    """Ahead or back: which of the two times was wrong nobody knows yet."""
    watched, clock = WatchedTime(), FakeClock()
    stands(watched, clock)
    clock.advance(WATCHED_S)
    assert stands(watched, clock)

    clock.step(clock.wall + leap)
    clock.believe()
    assert not stands(watched, clock)

    clock.advance(WATCHED_S)
    assert stands(watched, clock)


def test_a_time_that_nobody_vouches_for_does_not_stand() -> None:
    """However long; and what was seen before is not counted afterwards."""
    watched, clock = WatchedTime(), FakeClock()
    stands(watched, clock)
    clock.vouched = False
    clock.reboot("boot-2")
    clock.advance(WATCHED_S)
    assert not stands(watched, clock)

    clock.vouched = True
    clock.step(START + timedelta(seconds=WATCHED_S))
    assert not stands(watched, clock)
