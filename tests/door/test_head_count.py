from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.door.leaf import HeadCount


@pytest.mark.parametrize(
    ("counted", "low", "estimate", "high"),
    [
        pytest.param(HeadCount, 0, 0, 0, id="at first nobody, for certain"),
        pytest.param(lambda: HeadCount().entered().entered(3).left(), 2, 3, 5, id="in and out"),
        pytest.param(lambda: HeadCount().entered().entered(), 2, 2, 4, id="a friend behind each"),
        pytest.param(lambda: HeadCount(estimate=3).left(), 1, 2, 2, id="two leave by one opening"),
        pytest.param(lambda: HeadCount().left().left(), 0, 0, 2, id="out of an empty house"),
        pytest.param(lambda: HeadCount(estimate=2).passed(), 1, 2, 3, id="no direction"),
    ],
)
def test_each_opening_counts_and_may_hide_one_more(
    counted: Callable[[], HeadCount], low: int, estimate: int, high: int
) -> None:
    """A contact sees no second person, and never fewer than nobody are inside."""
    count = counted()

    assert (count.low, count.estimate, count.high) == (low, estimate, high)


class House(RuleBasedStateMachine):
    """A house in which each opening lets at most one person pass who was not told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = HeadCount()
        self.inside = 0

    @rule(persons=st.integers(1, 10), another=st.booleans())
    def enter(self, persons: int, another: bool) -> None:
        """Let somebody in, and perhaps a stranger behind."""
        self.count = self.count.entered(persons)
        self.inside += persons + another

    @rule(another=st.booleans())
    def leave(self, another: bool) -> None:
        """Let somebody out who is there."""
        if self.inside:
            self.count = self.count.left()
            self.inside = max(0, self.inside - 1 - another)

    @rule(change=st.sampled_from([-1, 0, 1]))
    def pass_unseen(self, change: int) -> None:
        """Open the leaf in an unknown direction."""
        self.count = self.count.passed()
        self.inside = max(0, self.inside + change)

    @rule()
    def close(self) -> None:
        """Close the house; everybody goes."""
        self.count, self.inside = HeadCount(), 0

    @invariant()
    def the_truth_lies_within(self) -> None:
        """The bounds hold however people come and go, and the estimate lies between them."""
        assert 0 <= self.count.low <= self.inside <= self.count.high
        assert self.count.low <= self.count.estimate <= self.count.high


TestHouse = House.TestCase
TestHouse.settings = settings(stateful_step_count=40)
