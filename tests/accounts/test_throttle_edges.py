"""What an account and an address wait for at the edges."""

from __future__ import annotations

import pytest

from doorctl.accounts.throttle import (
    ADDRESS_BURST,
    ADDRESS_REFILL_MS,
    NONE,
    account_charged,
    account_wait_s,
    address_charged,
    address_refunded,
    address_wait_s,
)
from doorctl.core.moments import BootTime

START = BootTime("a", 1_000)


@pytest.mark.parametrize(("later_ms", "wait_s"), [(0, 30), (1, 30), (999, 30), (1000, 29)])
def test_a_wait_is_told_in_whole_seconds(later_ms: int, wait_s: int) -> None:
    """Rounded up: whoever waits for as long as the page says may try again."""
    count = NONE
    for _ in range(5):
        count = account_charged(count, START)

    told = account_wait_s(count, BootTime("a", START.ms + later_ms))
    assert (told, type(told)) == (wait_s, int)


def test_what_an_address_owes_is_forgiven_to_the_last_millisecond() -> None:
    """Nothing is left over for the next failure, however long ago the latest one was."""
    count = address_charged(NONE, START)
    later = BootTime("a", START.ms + 10 * ADDRESS_REFILL_MS)

    assert address_charged(count, later).count == ADDRESS_REFILL_MS


def test_what_was_right_gives_back_one_failure_and_no_other() -> None:
    """A right password in between does not let an address guess for ever."""
    count = NONE
    for _ in range(ADDRESS_BURST):
        count = address_charged(count, START)

    count = address_charged(address_refunded(count, START), START)
    assert address_wait_s(count, START) == ADDRESS_REFILL_MS // 1000
