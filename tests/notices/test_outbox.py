"""What waits to be handed over: in order, tried again, never without bound.

Bug (attack review): after an hour's outage a call for help waited up to two hours more for its
turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.ports import NotSentError
from doorctl.notices.sending import FAR_PAUSES_S, GIVEN_UP_S, NEAR_PAUSES_S, URGENT_PAUSE_S, Outbox

PATIENT, NOW, PEOPLE = "library_silent", "door_forced", "duress"
ONE_TURN_S = 15.0


@dataclass(frozen=True)
class Item:
    """Something to be handed over."""

    number: int
    kind: str = PATIENT


@dataclass
class Way:
    """A way that is up or down."""

    up: bool = True
    gone: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    tried: int = 0

    def send(self, item: Item) -> None:
        """Let it go, if the way is up."""
        self.tried += 1
        if not self.up:
            raise NotSentError("the way is down")
        self.gone.append(item.number)


def test_items_go_in_order_and_at_once() -> None:
    """What can go goes in one turn, the oldest first."""
    way = Way()
    outbox = Outbox(way.send, way.told.append)
    for item in range(3):
        outbox.put(Item(item))

    assert outbox.waits
    outbox.turn(0.0)

    assert way.gone == [0, 1, 2]
    assert not outbox.waits


def test_a_failure_is_told_once_and_tried_again_later() -> None:
    """The first failure is news, the next ones are not; each pause is longer than the last."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, pauses_s=FAR_PAUSES_S)
    outbox.put(Item(1))
    now_s = 0.0
    for pause_s in FAR_PAUSES_S:
        outbox.turn(now_s)
        outbox.turn(now_s + pause_s - 1)
        now_s += pause_s
    tried = way.tried
    way.up = True
    outbox.turn(now_s)

    assert tried == len(FAR_PAUSES_S)
    assert (way.gone, way.told) == ([1], ["the way is down"])

    way.up = False
    outbox.put(Item(2))
    outbox.turn(now_s)

    assert way.told == ["the way is down"] * 2


def test_an_item_is_given_up_after_some_hours() -> None:
    """What nobody takes for three hours does not stand in the way of the rest for ever."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append)
    outbox.put(Item(1))
    outbox.put(Item(2))
    now_s = 0.0
    while now_s < GIVEN_UP_S:
        outbox.turn(now_s)
        now_s += ONE_TURN_S
    outbox.turn(now_s)
    way.up = True
    outbox.turn(now_s + ONE_TURN_S)

    assert way.gone == [2]


def test_where_there_are_too_many_the_oldest_is_lost() -> None:
    """Memory stays bounded, and the newest says how things are."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, most=3)
    for item in range(10):
        outbox.put(Item(item))
        outbox.turn(0.0)
    way.up = True
    outbox.turn(max(NEAR_PAUSES_S))

    assert way.gone == [7, 8, 9]


@pytest.mark.parametrize("kind", [NOW, PEOPLE])
def test_a_call_is_tried_at_once_after_an_outage(kind: str) -> None:
    """The pause that an old item has earned does not delay what somebody has to look at now."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, pauses_s=FAR_PAUSES_S)
    outbox.put(Item(1))
    now_s = 0.0
    for pause_s in FAR_PAUSES_S:
        outbox.turn(now_s)
        now_s += pause_s
    way.up = True
    outbox.put(Item(2))
    outbox.turn(now_s - 1)

    assert way.gone == []

    outbox.put(Item(3, kind))
    outbox.turn(now_s - 1)

    assert sorted(way.gone) == [1, 2, 3]


def test_a_call_during_a_try_that_fails_is_tried_at_once() -> None:
    """Where it comes while another item is about to fail, that failure's pause does not count."""
    tried: list[int] = []

    def send(item: Item) -> None:
        tried.append(item.number)
        if item.number == 1:
            if tried == [1]:
                outbox.put(Item(2, PEOPLE))
            raise NotSentError("the way is down")

    outbox = Outbox(send, print, most=1)
    outbox.put(Item(1))
    outbox.turn(0.0)

    assert tried == [1, 2, 1]


def test_calls_do_not_repeat_the_news_of_the_outage() -> None:
    """That the way is down is told once, however often a call ends the pause."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append)
    for number in range(5):
        outbox.put(Item(number, NOW))
        outbox.turn(0.0)

    assert (way.tried, way.told) == (5, ["the way is down"])


@pytest.mark.parametrize(
    ("kind", "pauses_s", "longest_s"),
    [
        (PATIENT, NEAR_PAUSES_S, 15.0),
        (PEOPLE, NEAR_PAUSES_S, 15.0),
        (NOW, FAR_PAUSES_S, URGENT_PAUSE_S),
        (PEOPLE, FAR_PAUSES_S, URGENT_PAUSE_S),
    ],
)
def test_no_call_waits_longer_than_its_way_allows(
    kind: str, pauses_s: tuple[float, ...], longest_s: float
) -> None:
    """A neighbour is asked every 15 s, a server on the network every 10 min while a call waits."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, pauses_s=pauses_s)
    outbox.put(Item(0))
    outbox.put(Item(1, kind))
    now_s, tried_s = 0.0, 0.0
    while now_s < GIVEN_UP_S / 2:
        before = way.tried
        outbox.turn(now_s)
        if way.tried > before:
            assert now_s - tried_s <= longest_s
            tried_s = now_s
        now_s += 5.0

    assert now_s - tried_s <= longest_s


def test_people_go_first_and_are_not_crowded_out() -> None:
    """However many doors stand open while the way is down: the call for help is not lost."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, most=3)
    outbox.put(Item(1))
    outbox.put(Item(2, PEOPLE))
    for number in range(3, 10):
        outbox.put(Item(number, NOW))
    outbox.turn(0.0)
    way.up = True
    outbox.turn(max(NEAR_PAUSES_S))

    assert way.gone == [2, 7, 8, 9]


def test_a_kind_that_is_not_listed_goes_too() -> None:
    """The door hands on whatever was raised; it counts as what can wait."""
    way = Way()
    outbox = Outbox(way.send, way.told.append)
    outbox.put(Item(1, "surprise"))
    outbox.turn(0.0)

    assert way.gone == [1]


def test_what_was_lost_while_it_went_takes_nothing_along() -> None:
    """An item that falls out while it is being sent is not mistaken for the one after it."""
    gone: list[int] = []

    def send(item: Item) -> None:
        if item.number == 1:
            outbox.put(Item(2))
        gone.append(item.number)

    outbox = Outbox(send, print, most=1)
    outbox.put(Item(1))
    outbox.turn(0.0)

    assert gone == [1, 2]


def test_a_mistake_of_ours_costs_one_item() -> None:
    """What a sink can't even write does not stand in the way of the rest."""
    gone: list[int] = []

    def send(item: Item) -> None:
        gone.append(1 // item.number)

    outbox = Outbox(send, print)
    outbox.put(Item(0))
    outbox.put(Item(1))
    with pytest.raises(ZeroDivisionError):
        outbox.turn(0.0)
    outbox.turn(0.0)

    assert gone == [1]


def test_a_near_way_never_gives_up() -> None:
    """What has no other way waits for as long as it takes, within its bound."""
    way = Way(up=False)
    outbox = Outbox(way.send, way.told.append, most=2, given_up_s=math.inf)
    for number in range(3):
        outbox.put(Item(number))
    for now_s in (0.0, GIVEN_UP_S, 9 * GIVEN_UP_S):
        outbox.turn(now_s)
    assert outbox.kinds() == {PATIENT}
    way.up = True
    outbox.turn(10 * GIVEN_UP_S)

    assert way.gone == [1, 2]
    assert outbox.kinds() == frozenset()


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
            outbox.put(Item(items))
            items += 1
        elif isinstance(step, bool):
            way.up = step
        else:
            now_s += step
            outbox.turn(now_s)

    assert way.gone == sorted(set(way.gone))
