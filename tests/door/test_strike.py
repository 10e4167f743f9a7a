from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.door.strike import (
    TRANSITIONS,
    Granted,
    ShutDown,
    Strike,
    StrikeEvent,
    StrikeState,
    TimePassed,
)

RELEASE_S = 5.0


def test_every_event_has_its_answer_in_every_state() -> None:
    """No pair of state and event is left out of the table."""
    assert set(TRANSITIONS) == set(product(StrikeState, get_args(StrikeEvent)))


def test_the_table_says_where_each_transition_leads() -> None:
    """Every state that the table names is reached by it, and no other."""
    seen: dict[tuple[StrikeState, type[StrikeEvent]], set[StrikeState]] = {}
    events: tuple[StrikeEvent, ...] = (
        Granted(10.0, RELEASE_S),
        TimePassed(14.0),
        TimePassed(15.0),
        ShutDown(),
    )
    for strike in (Strike(), Strike().after(Granted(10.0, RELEASE_S))):
        for event in events:
            seen.setdefault((strike.state, type(event)), set()).add(strike.after(event).state)

    assert seen == {pair: set(transition.to) for pair, transition in TRANSITIONS.items()}


def test_it_is_locked_at_first() -> None:
    """A daemon that has just started holds no door open."""
    assert not Strike().energised
    assert Strike().until_s is None


@pytest.mark.parametrize(
    ("now_s", "energised"), [(100.0, True), (104.999, True), (105.0, False), (9999.0, False)]
)
def test_a_release_ends_at_its_deadline(now_s: float, energised: bool) -> None:
    """The relay is on for the time that was granted, and off exactly at its end."""
    released = Strike().after(Granted(100.0, RELEASE_S))

    assert released.until_s == 105.0
    assert released.after(TimePassed(now_s)).energised is energised


def test_a_second_grant_extends_the_first() -> None:
    """The patron behind gets the full time, and a shorter grant takes nothing from the first."""
    once = Strike().after(Granted(100.0, RELEASE_S))

    assert once.after(Granted(103.0, RELEASE_S)).until_s == 108.0
    assert once.after(Granted(101.0, 1.0)).until_s == 105.0


def test_a_deadline_of_an_earlier_release_is_stale() -> None:
    """The end of the first release doesn't cut the second one short."""
    twice = Strike().after(Granted(100.0, RELEASE_S)).after(Granted(103.0, RELEASE_S))

    assert twice.after(TimePassed(105.0)).energised
    assert not twice.after(TimePassed(108.0)).energised


def test_time_alone_never_releases() -> None:
    """A locked door stays locked, however late it is told of the time."""
    assert not Strike().after(TimePassed(1e9)).energised


@given(st.floats(0, 1e7), st.floats(0.1, 60))
def test_shutting_down_locks(now_s: float, release_s: float) -> None:
    """The end of the daemon locks the door, whatever it was in the middle of."""
    for strike in (Strike(), Strike().after(Granted(now_s, release_s))):
        assert strike.after(ShutDown()) == Strike()


class StrikeMachine(RuleBasedStateMachine):
    """Grants, time and stops in any order, time never going back."""

    def __init__(self) -> None:
        super().__init__()
        self.strike = Strike()
        self.now_s = 0.0
        self.ends_s: float | None = None

    def _take(self, event: StrikeEvent) -> None:
        before = self.strike
        self.strike = before.after(event)
        assert self.strike.state in TRANSITIONS[before.state, type(event)].to

    @rule(gap_s=st.floats(0, 7), release_s=st.sampled_from([RELEASE_S, 3.0]))
    def grant(self, gap_s: float, release_s: float) -> None:
        """Let somebody in after a while."""
        self.now_s += gap_s
        self._take(Granted(self.now_s, release_s))
        self.ends_s = max(self.ends_s or 0.0, self.now_s + release_s)
        assert self.strike.energised

    @rule(gap_s=st.floats(0, 7))
    def pass_time(self, gap_s: float) -> None:
        """Tell the time."""
        self.now_s += gap_s
        self._take(TimePassed(self.now_s))
        if self.ends_s is not None and self.now_s >= self.ends_s:
            self.ends_s = None
        assert self.strike.energised == (self.ends_s is not None)

    @rule()
    def pass_time_at_the_deadline(self) -> None:
        """Wake exactly when the strike asked to be woken."""
        if self.strike.until_s is not None:
            self.pass_time(max(0.0, self.strike.until_s - self.now_s))

    @rule()
    def shut_down(self) -> None:
        """Stop."""
        self._take(ShutDown())
        self.ends_s = None

    @invariant()
    def on_only_while_released(self) -> None:
        """The relay is on if and only if the strike is released, and then it has an end."""
        assert self.strike.energised == (self.strike.state is StrikeState.RELEASED)
        assert self.strike.energised == (self.strike.until_s is not None)
        assert self.strike.until_s == self.ends_s

    @invariant()
    def it_ends(self) -> None:
        """One look at the clock after the longest release locks it, whatever came before."""
        assert not self.strike.after(TimePassed(self.now_s + RELEASE_S)).energised


TestStrike = StrikeMachine.TestCase
TestStrike.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
