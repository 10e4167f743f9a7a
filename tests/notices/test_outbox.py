"""What waits to be handed over: in order, tried again, never without bound."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.notices.outbox import MOST_TRIES, PAUSES_S, Outbox
from doorctl.ports import NotSentError


@dataclass
class Way:
    """A way that is up or down."""

    up: bool = True
    gone: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    tried: int = 0

    def send(self, item: int) -> None:
        """Let it go, if the way is up."""
        self.tried += 1
        if not self.up:
            raise NotSentError("the way is down")
        self.gone.append(item)


def test_items_go_in_order_and_at_once() -> None:
    """What can go goes in one turn, the oldest first."""
    way = Way()
    outbox = Outbox(way.send, way.told.append)
    for item in range(3):
        outbox.put(item)

    assert outbox.waits
    outbox.turn(0.0)

    assert way.gone == [0, 1, 2]
    assert not outbox.waits


def test_a_failure_is_told_once_and_tried_again_later() -> None:
    """The first failure is news, the next ones are not; each pause is longer than the last."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append)
    outbox.put(1)
    now_s = 0.0
    for pause_s in PAUSES_S:
        outbox.turn(now_s)
        outbox.turn(now_s + pause_s - 1)
        now_s += pause_s
    tried = way.tried
    way.up = True
    outbox.turn(now_s)

    assert tried == len(PAUSES_S)
    assert (way.gone, way.told) == ([1], ["the way is down"])

    way.up = False
    outbox.put(2)
    outbox.turn(now_s)

    assert way.told == ["the way is down"] * 2


def test_an_item_is_given_up_after_some_tries() -> None:
    """What nobody takes does not stand in the way of the rest for ever."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append)
    outbox.put(1)
    outbox.put(2)
    for turn in range(MOST_TRIES):
        outbox.turn(turn * max(PAUSES_S))
    way.up = True
    outbox.turn(MOST_TRIES * max(PAUSES_S))

    assert (way.gone, way.tried) == ([2], MOST_TRIES + 1)


def test_where_there_are_too_many_the_oldest_is_lost() -> None:
    """Memory stays bounded, and the newest says how things are."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, most=3)
    for item in range(10):
        outbox.put(item)
        outbox.turn(0.0)
    way.up = True
    outbox.turn(max(PAUSES_S))

    assert way.gone == [7, 8, 9]


def test_what_was_lost_while_it_went_takes_nothing_along() -> None:
    """An item that falls out while it is being sent is not mistaken for the one after it."""
    gone: list[int] = []

    def send(item: int) -> None:
        if item == 1:
            outbox.put(2)
        gone.append(item)

    outbox = Outbox(send, print, most=1)
    outbox.put(1)
    outbox.turn(0.0)

    assert gone == [1, 2]


def test_a_mistake_of_ours_costs_one_item() -> None:
    """What a sink can't even write does not stand in the way of the rest."""
    gone: list[int] = []

    def send(item: int) -> None:
        gone.append(1 // item)

    outbox = Outbox(send, print)
    outbox.put(0)
    outbox.put(1)
    with pytest.raises(ZeroDivisionError):
        outbox.turn(0.0)
    outbox.turn(0.0)

    assert gone == [1]


@given(
    steps=st.lists(st.one_of(st.integers(0, 9000).map(float), st.booleans(), st.none())),
    most=st.integers(1, 5),
)
def test_nothing_goes_twice_or_out_of_order(steps: list[float | bool | None], most: int) -> None:
    """However a way goes up and down: each item goes at most once, and in the order of `put`."""
    way = Way()
    outbox = Outbox(way.send, way.told.append, most=most)
    now_s, items = 0.0, 0
    for step in steps:
        if step is None:
            outbox.put(items)
            items += 1
        elif isinstance(step, bool):
            way.up = step
        else:
            now_s += step
            outbox.turn(now_s)

    assert way.gone == sorted(set(way.gone))
