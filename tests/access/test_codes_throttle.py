"""What guessing at codes costs, by the clock of the boot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import ROW_KEY_BYTES
from doorctl.access.throttle import CODES_KEY, MOST_FAILURES, CardThrottle
from doorctl.access.throttle import codes_charged as charged
from doorctl.access.throttle import codes_hold as holds
from doorctl.access.throttle import codes_left as left
from doorctl.core.moments import BootTime

HOUR_MS = 3_600_000


def at(ms: int, boot: str = "a") -> BootTime:
    """Return a time of a boot."""
    return BootTime(boot, ms)


def guess_for(ms: int, *, pause_ms: int = 0) -> int:
    """Guess wrongly whenever codes need not wait; return how often in so long."""
    throttle, guesses, now_ms = CardThrottle(), 0, 0
    while now_ms < ms:
        if holds(throttle, at(now_ms)):
            now_ms += 1000
        else:
            throttle, guesses = charged(throttle, at(now_ms)), guesses + 1
            now_ms += 1000 + pause_ms
    return guesses


def test_the_waits_grow_to_an_hour() -> None:
    """Three slips are free, the next ones cost what they cost a card."""
    throttle, waits = CardThrottle(), []
    now_ms = 0
    for _ in range(9):
        throttle = charged(throttle, at(now_ms))
        begun_ms = now_ms
        while holds(throttle, at(now_ms)):
            now_ms += 1000
        waits.append((now_ms - begun_ms) // 1000)

    assert waits == [0, 0, 30, 120, 600, 3600, 3600, 3600, 3600]


def test_a_guesser_gets_six_tries_at_once_and_one_an_hour() -> None:
    """So a million codes with ten in force last: 30 for the first day, 24 for each further one."""
    assert guess_for(HOUR_MS // 2) == 6
    assert guess_for(24 * HOUR_MS) <= 30
    assert guess_for(10 * 24 * HOUR_MS) <= 6 + 240


@pytest.mark.parametrize("pause_h", [1, 2, 5])
def test_waiting_longer_gains_nothing(pause_h: int) -> None:
    """Whoever saves forgiven failures up guesses no more often in the long run."""
    assert guess_for(10 * 24 * HOUR_MS, pause_ms=pause_h * HOUR_MS) <= 6 + 240


@given(st.integers(0, 20), st.integers(0, 10**9))
def test_codes_never_stop_for_good(failures: int, later_ms: int) -> None:
    """However many failures are on record, an hour later a code may be typed."""
    throttle = CardThrottle(min(failures, MOST_FAILURES), at(0))

    assert not holds(throttle, at(later_ms + HOUR_MS))
    assert left(charged(throttle, at(later_ms)), at(later_ms)) <= MOST_FAILURES


def test_a_reboot_gives_nothing_away() -> None:
    """How long the power was off is not known, so the wait begins anew."""
    throttle = CardThrottle(MOST_FAILURES, at(50 * HOUR_MS))

    assert holds(throttle, at(HOUR_MS - 1, "b"))
    assert not holds(throttle, at(HOUR_MS, "b"))


def test_nobody_has_failed_yet() -> None:
    """A new file has no failures and nobody waits."""
    assert left(CardThrottle(), at(0)) == 0
    assert not holds(CardThrottle(), at(0))


def test_the_key_is_as_long_as_any_other() -> None:
    """The door log takes it like a row key."""
    assert len(CODES_KEY) == ROW_KEY_BYTES
