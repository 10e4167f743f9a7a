"""The leaf to its last field: what an event leaves behind is what the next one is judged by."""

from __future__ import annotations

import pytest

from doorctl.door.leaf import (
    GRACE_S,
    Alarm,
    AlarmRaised,
    Entered,
    Leaf,
    LeafEvent,
    LeafState,
    Left,
    NoEntry,
    Passed,
    Released,
    Relocked,
    after,
)
from doorctl.door.strike import Freed, ShutDown, TimePassed, Unfreed
from tests.door.leaves import (
    EXIT,
    FIRE,
    HELD_S,
    RELEASE,
    RULES,
    WARN_S,
    closed,
    every_leaf,
    leaf_after,
    opened,
    told,
)

FORCED_RAISED = AlarmRaised(Alarm.FORCED)
SLOW = Released(12.0, 14.0, held_open_s=90.0)


def open_since(now_s: float, released_s: float | None = None) -> Leaf:
    """Return a leaf that has its whole time from then on."""
    held_s = now_s + HELD_S
    return Leaf(
        LeafState.OPEN,
        contact=True,
        released_s=released_s,
        warn_s=held_s - WARN_S,
        held_s=held_s,
    )


@pytest.mark.parametrize(
    ("events", "leaf"),
    [
        ([RELEASE, opened(12.0)], open_since(12.0, 15.0)),
        ([EXIT, opened(12.0)], open_since(12.0, 15.0)),
        (
            [RELEASE, opened(12.0), closed(13.0)],
            Leaf(LeafState.RELEASED, contact=True, released_s=15.0),
        ),
        ([Freed(10.0), Unfreed(1000.0)], Leaf(contact=True, released_s=1000.0)),
        ([Freed(10.0), opened(11.0), Unfreed(1000.0)], open_since(1000.0)),
        ([opened(11.0), SLOW, Relocked(14.0), closed(20.0)], Leaf(contact=True)),
    ],
)
def test_nothing_is_left_of_what_is_over(events: list[LeafEvent], leaf: Leaf) -> None:
    """No passage, deadline or longer time of one visit is there at the next one."""
    assert leaf_after(*events) == leaf


def test_a_release_just_after_a_boot_is_no_longer_than_any() -> None:
    """The monotonic clock may begin at nothing."""
    assert after(Leaf(contact=True), Released(0.0, 0.5), RULES)[0].deadline_s == 0.5


def test_the_exit_button_at_an_open_leaf_is_somebody_leaving() -> None:
    """Who walks out past somebody coming in is counted as gone."""
    assert told(RELEASE, opened(12.0), Released(20.0, 25.0, persons=0))[1] == [
        Entered(1, 12.0),
        Left(20.0),
    ]


def test_who_leaves_leaves_once() -> None:
    """The second opening of one release is somebody unknown."""
    assert told(EXIT, opened(11.0), closed(12.0), opened(13.0))[1] == [Left(11.0), Passed(13.0)]


def test_a_grant_after_the_leaf_was_closed_is_another_visit() -> None:
    """In the same release, and counted by itself."""
    _, effects = told(RELEASE, opened(11.0), closed(12.0), Released(13.0, 18.0), opened(14.0))

    assert effects == [Entered(1, 11.0), Entered(1, 14.0)]


def test_a_strike_that_locks_early_ends_the_release() -> None:
    """A second of grace is left, for a leaf that is closed and for one that stands open."""
    late_s = 13.0 + GRACE_S
    assert told(RELEASE, Relocked(13.0), opened(late_s))[1] == [
        NoEntry(),
        FORCED_RAISED,
        Passed(late_s),
    ]

    leaf = leaf_after(RELEASE, opened(11.0), Relocked(13.0), closed(13.5))
    assert leaf.state is LeafState.LOCKED


def test_a_leaf_that_closes_as_the_release_ends_is_locked() -> None:
    """The end belongs to what comes after it."""
    assert leaf_after(RELEASE, opened(12.0), closed(15.0)).state is LeafState.LOCKED


def test_a_forced_leaf_that_closes_in_a_release_is_locked_at_its_end() -> None:
    """It does not stay released because it had been forced."""
    leaf, effects = told(opened(11.0), Released(12.0, 17.0), closed(13.0), TimePassed(17.0))

    assert leaf.state is LeafState.LOCKED
    assert told(opened(17.0 + GRACE_S), leaf=leaf)[1][0] == FORCED_RAISED
    assert len(effects) == 4


def test_the_end_of_staffed_hours_explains_an_opening_like_any_release() -> None:
    """Whoever was on the way out forces nothing, though a card was swiped hours ago."""
    leaf = leaf_after(Freed(10.0), Released(12.0, 17.0), Unfreed(1000.0))

    assert told(opened(1000.0 + GRACE_S / 2), leaf=leaf)[1] == [Passed(1000.0 + GRACE_S / 2)]


def test_after_staffed_hours_a_card_is_a_visit_again() -> None:
    """The leaf is free no more: who is let in is expected, and held open counts."""
    leaf, effects = told(Freed(10.0), Unfreed(1000.0), Released(1001.0, 1006.0), opened(1002.0))

    assert effects == [Entered(1, 1002.0)]
    assert leaf.held_s == 1002.0 + HELD_S


@pytest.mark.parametrize("way", [[RELEASE, TimePassed(99.0)], [Freed(10.0)], [Freed(10.0), FIRE]])
def test_a_fire_outlasts_what_the_leaf_does(way: list[LeafEvent]) -> None:
    """Neither a visit that nobody made nor staffed hours put it out."""
    assert leaf_after(FIRE, *way).fire is True


def test_a_stop_forgets_neither_the_contact_nor_a_fire() -> None:
    """What is wired and what burns does not hang on the daemon."""
    for leaf in every_leaf():
        stopped, _ = told(ShutDown(), leaf=leaf)
        assert (stopped.contact, stopped.fire) == (leaf.contact, leaf.fire)
