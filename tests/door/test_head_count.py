from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.door.leaf import HeadCount


def test_an_empty_house_is_empty() -> None:
    """At first nobody is inside, for certain."""
    assert (HeadCount().low, HeadCount().estimate, HeadCount().high) == (0, 0, 0)


def test_entries_add_and_exits_subtract() -> None:
    """Three came, one with two companions, and one left again."""
    count = HeadCount().entered().entered(3).left()

    assert count.estimate == 3


def test_each_entry_may_have_let_in_one_more() -> None:
    """Who holds the door for a friend is not seen by a contact."""
    count = HeadCount().entered().entered()

    assert (count.low, count.estimate, count.high) == (2, 2, 4)


def test_each_exit_may_have_let_out_one_more() -> None:
    """Two who leave together open once."""
    count = HeadCount(estimate=3).left()

    assert (count.low, count.estimate, count.high) == (1, 2, 2)


def test_it_never_falls_below_nobody() -> None:
    """Who leaves an empty house was not counted, so others may not have been either."""
    count = HeadCount().left().left()

    assert (count.low, count.estimate, count.high) == (0, 0, 2)


def test_an_opening_without_a_direction_is_uncertainty_alone() -> None:
    """In staffed hours, and at a forced door, the estimate stays and its bounds widen."""
    count = HeadCount(estimate=2).passed()

    assert (count.low, count.estimate, count.high) == (1, 2, 3)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_closing_begins_anew(estimate: int, fewer: int, more: int) -> None:
    """What was not seen yesterday is no doubt about today."""
    assert HeadCount(estimate, fewer, more).closed() == HeadCount()


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
        self.count, self.inside = self.count.closed(), 0

    @invariant()
    def the_truth_lies_within(self) -> None:
        """The bounds hold however people come and go, and the estimate lies between them."""
        assert 0 <= self.count.low <= self.inside <= self.count.high
        assert self.count.low <= self.count.estimate <= self.count.high


TestHouse = House.TestCase
TestHouse.settings = settings(stateful_step_count=40)
