"""The door goes on without its log: every call that can fail does, once and for ever."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Reason
from doorctl.access.throttle import STOP_AT_FAILURES, CardThrottle, ReaderThrottle
from doorctl.core.errors import StoreError
from doorctl.core.moments import BootTime, Stamped
from doorctl.doord.stores import KEPT_CARDS, SteadyVisitLog
from tests.doord.books import Books
from tests.doord.fake_door import CARD, identifier, key_of
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryVisits


class FailingVisits:
    """A door log in memory.

    Its calls are numbered from 0; `fails` tells which fail, and nothing is written or read then.
    """

    def __init__(self, fails: Callable[[int], bool]) -> None:
        self.inner, self.calls = MemoryVisits(), 0
        self._fails = fails

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if self._fails(number):
                raise StoreError("the disk was told to fail")
            return getattr(self.inner, name)(*arguments)

        return call


CALLS_OF_A_VISIT = 6
"""The card's throttle, all wrong PINs, the opening, the reader's throttle twice, the end."""


class Evening(Books):
    """Books over a log that fails at chosen calls; nobody is known, so all guesses are wrong."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        super().__init__()
        self.push()
        self.failing = FailingVisits(fails)
        self.ledger.visits = self.steady = SteadyVisitLog(self.failing, self.log)

    def guess(self, number: str = CARD, reason: Reason = Reason.UNKNOWN_CARD) -> bool:
        """Guess and return whether the card had to wait."""
        attempt, waits = self.open(identifier(number)), self.prepared.throttled
        ended = Reason.THROTTLED if waits else reason
        self.settle(attempt, ended, proved=ended is Reason.OK)
        return waits


def stamped(clock: FakeClock) -> Stamped:
    """Return now."""
    moment = clock.moment()
    return Stamped(moment.local, moment.state, clock.boot_time())


def test_a_log_that_works_is_passed_through() -> None:
    """Nothing is alarmed; what is asked is what is stored."""
    evening = Evening(lambda _call: False)
    evening.guess()

    assert evening.failing.calls == CALLS_OF_A_VISIT
    assert evening.log.alarms == []
    assert evening.failing.inner.card_throttle(key_of(CARD)).failures == 1
    assert evening.failures() == 1
    assert evening.steady.last_attempt() == 1


@pytest.mark.parametrize("failing", range(2 * CALLS_OF_A_VISIT))
def test_one_failure_at_any_call_stops_nobody(failing: int) -> None:
    """It is alarmed once and cleared once, and the log goes on with the attempts after it."""
    evening = Evening(lambda call: call == failing)
    for _ in range(3):
        evening.guess()
        evening.clock.advance(3600.0)
    evening.guess("3000005678")

    assert evening.log.alarms == ["visit_log_failing", "visit_log_cleared"]
    written = list(evening.failing.inner.visits(evening.clock.wall.replace(year=2000)))
    assert written[-1].attempt == evening.attempts
    assert len(written) >= evening.attempts - 1


@pytest.mark.parametrize("failing", range(2 * CALLS_OF_A_VISIT))
def test_one_failed_write_loses_no_guess(failing: int) -> None:
    """All three guesses are counted, in memory or on disk; a lost read may forget earlier ones."""
    evening = Evening(lambda call: call == failing)
    for _ in range(3):
        evening.guess()
    lost_read = failing == CALLS_OF_A_VISIT

    assert evening.failures() == (2 if lost_read else 3)


@pytest.mark.parametrize("failing", range(2 * CALLS_OF_A_VISIT))
def test_an_outage_from_any_call_on_stops_nobody_and_still_counts(failing: int) -> None:
    """One alarm for the whole outage, which names nobody; after three wrong PINs the card waits."""
    evening = Evening(lambda call: call >= failing)
    held = [evening.guess() for _ in range(6)]

    why = "the disk was told to fail"
    assert evening.log.lines == [{"event": "alarm", "kind": "visit_log_failing", "why": why}]
    assert held.count(False) <= 3 + 1, "an unreadable count is at most one guess more"
    assert held[-1]


def test_a_stopped_card_stays_stopped_through_an_outage() -> None:
    """Ten wrong PINs in a row without a disk, and the card waits for staff."""
    evening = Evening(lambda _call: True)
    tried = 0
    for _ in range(50):
        tried += not evening.guess()
        evening.clock.advance(3600.0)

    assert tried == STOP_AT_FAILURES


def test_a_proved_pin_ends_the_count_during_an_outage() -> None:
    """The patron who slipped twice is free again, on disk or not."""
    evening = Evening(lambda _call: True)
    evening.guess()
    evening.guess()
    evening.guess(reason=Reason.OK)

    assert evening.failures() == 0


def test_what_was_kept_is_stored_with_the_cards_next_attempt() -> None:
    """After the outage the disk has the whole count; other cards' attempts don't carry it.

    A reset by staff is done or told: while it fails nothing is forgotten.
    """
    fails = [True]
    evening = Evening(lambda _call: fails[0])
    evening.guess()
    evening.guess()
    with pytest.raises(StoreError):
        evening.steady.reset_card(key_of(CARD))
    fails[0] = False
    evening.guess("3000005678")
    stored = evening.failing.inner.card_throttle
    assert (stored(key_of(CARD)).failures, evening.failures()) == (0, 2)
    evening.guess()
    assert (stored(key_of(CARD)).failures, evening.failures()) == (3, 3)

    evening.steady.reset_card(key_of(CARD))
    assert evening.failures() == 0


def test_the_readers_debt_is_kept_through_an_outage() -> None:
    """A sweep over many cards is slowed down without a disk too, and stored after it."""
    fails = [True]
    evening = Evening(lambda _call: fails[0])
    for number in range(10):
        evening.guess(f"31{number:08}")
    assert evening.steady.reader_throttle().delay_s(evening.clock.boot_time()) > 0
    fails[0] = False
    evening.guess()

    assert evening.failing.inner.reader_throttle() == evening.steady.reader_throttle()
    assert evening.failing.inner.reader_throttle().spent_ms == 600_000


@given(st.sets(st.integers(0, 60)))
def test_no_pattern_of_failures_is_ever_raised_or_alarmed_twice(failing: set[int]) -> None:
    """Alarm and all-clear take turns, beginning with an alarm."""
    evening = Evening(failing.__contains__)
    for _ in range(10):
        evening.guess()
    evening.steady.last_attempt()

    told = ["visit_log_failing", "visit_log_cleared"]
    assert evening.log.alarms == [told[turn % 2] for turn in range(len(evening.log.alarms))]


def test_numbers_go_on_where_they_can_not_be_read() -> None:
    """An attempt number that this process has given out is never given out again."""
    evening = Evening(lambda _call: True)
    assert evening.steady.last_attempt() == 0
    evening.guess()
    evening.guess()

    assert evening.steady.last_attempt() == 2


def test_memory_is_bounded_however_long_the_outage() -> None:
    """The cards that came last are kept; the first ones are forgotten."""
    clock = FakeClock()
    steady = SteadyVisitLog(FailingVisits(lambda _call: True), FakeEventLog())
    at = stamped(clock)
    charge = CardThrottle(1, BootTime("boot-1", 1))
    tracemalloc.start()
    for number in range(KEPT_CARDS + 5):
        steady.open_attempt(Opened(number, at, number.to_bytes(16, "big"), charge))
    kept_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert steady.card_throttle((4).to_bytes(16, "big")) == CardThrottle()
    assert steady.card_throttle((5).to_bytes(16, "big")) == charge
    assert kept_bytes < 3_000_000


def test_a_card_that_comes_again_is_kept_longest() -> None:
    """The one who guesses on is not pushed out by the others."""
    steady = SteadyVisitLog(FailingVisits(lambda _call: True), FakeEventLog())
    at = stamped(FakeClock())
    charge = CardThrottle(1, BootTime("boot-1", 1))
    steady.open_attempt(Opened(1, at, b"guesser", charge))
    for number in range(KEPT_CARDS):
        steady.open_attempt(Opened(2 + number, at, number.to_bytes(16, "big"), charge))
        if number == KEPT_CARDS // 2:
            steady.close_attempt(Closed(1, Reason.WRONG_PIN, b"guesser", charge, ReaderThrottle()))

    assert steady.card_throttle(b"guesser") == charge
