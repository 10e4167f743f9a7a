from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.door.leaf import Entered, HeadCount, Left, Passed

LEFT, PASSED = Left(0.0), Passed(0.0)


def entered(persons: int = 1) -> Entered:
    """Return an opening after grants to so many."""
    return Entered(persons, 0.0)


@pytest.mark.parametrize(
    ("before", "passages", "low", "estimate", "high"),
    [
        pytest.param(0, [], 0, 0, 0, id="at first nobody, for certain"),
        pytest.param(0, [entered(), entered(3), LEFT], 2, 3, 5, id="in and out"),
        pytest.param(0, [entered(), entered()], 2, 2, 4, id="a friend behind each"),
        pytest.param(3, [LEFT], 1, 2, 2, id="two leave by one opening"),
        pytest.param(0, [LEFT, LEFT], 0, 0, 2, id="out of an empty house"),
        pytest.param(2, [PASSED], 1, 2, 3, id="no direction"),
    ],
)
def test_each_opening_counts_and_may_hide_one_more(
    before: int, passages: list[Entered | Left | Passed], low: int, estimate: int, high: int
) -> None:
    """A contact sees no second person, and never fewer than nobody are inside."""
    count = HeadCount(before)
    for passage in passages:
        count = count.after(passage)

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
        self.count = self.count.after(entered(persons))
        self.inside += persons + another

    @rule(another=st.booleans())
    def leave(self, another: bool) -> None:
        """Let somebody out who is there."""
        if self.inside:
            self.count = self.count.after(LEFT)
            self.inside = max(0, self.inside - 1 - another)

    @rule(change=st.sampled_from([-1, 0, 1]))
    def pass_unseen(self, change: int) -> None:
        """Open the leaf in an unknown direction."""
        self.count = self.count.after(PASSED)
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
