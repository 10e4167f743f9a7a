"""Bugs that were found.

Bug (stranger's review): keys typed while the process was stopped opened the door when it went on.
"""

from __future__ import annotations

import queue

import pytest

from doorctl.cards.reader import BytesReceived
from doorctl.devices.serial_line import MOST_PENDING
from doorctl.doord.controller import BEHIND_S, FEW, FLOOD, KEYPAD, READER, STALE_S, STALL_LIMIT_S
from doorctl.doord.jobs import EventQueue, PinsTouched, PostedEvent, StopRequested
from tests.doord.fake_door import CARD, RIGHT_PIN, FakeDoor, swiped
from tests.fakes.event_queue import FakeQueue

STOP: tuple[float, PostedEvent] = (60.0, StopRequested())


def stand_still(door: FakeDoor, *events: tuple[float, PostedEvent], for_s: float) -> None:
    """Run, and be stopped for so long before each event is taken, as by SIGSTOP."""
    door.controller.run(FakeQueue(door.clock, *events, STOP, turn_s=for_s))


def typed(pin: str) -> tuple[float, PostedEvent]:
    """Return a PIN typed at once."""
    return 0.0, BytesReceived(KEYPAD, pin.encode())


def test_what_was_typed_while_the_door_stood_still_opens_nothing() -> None:
    """Whoever typed it has gone; the next one at the door is somebody else."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    stand_still(door, typed(RIGHT_PIN), for_s=STALL_LIMIT_S + 0.1)

    assert door.relay.edges == []
    assert door.reasons == ["fault"]
    assert [line["kind"] for line in door.log.named("alarm")] == ["stalled"]


def test_a_loop_that_stands_still_does_not_decide() -> None:
    """As the socket's threads see it, which go on: not before it begins, nor once it is stuck."""
    door = FakeDoor()
    found = [door.controller.turns]
    door.controller.run(FakeQueue(door.clock, (0.0, StopRequested())))
    found.append(door.controller.turns)
    door.clock.advance(STALL_LIMIT_S + 0.1)
    found.append(door.controller.turns)

    assert found == [False, True, False]


def test_a_card_swiped_while_the_door_stood_still_is_forgotten() -> None:
    """It starts no attempt that a later PIN could finish."""
    door = FakeDoor()
    stand_still(door, (0.0, BytesReceived(READER, swiped(CARD))), for_s=STALL_LIMIT_S + 0.1)

    assert door.worker.backlog() == 0
    assert door.reasons == []


def test_what_the_lines_still_held_is_dropped_too() -> None:
    """The kernel hands it over a moment after the door goes on."""
    door = FakeDoor()
    still = FakeQueue(door.clock, (0.0, BytesReceived(READER, b"\r")), STOP, turn_s=4.0)
    door.controller.run(still)
    door.controller.handle(BytesReceived(READER, swiped(CARD)))
    assert door.worker.backlog() == 1

    again = FakeDoor()
    again.controller.run(FakeQueue(again.clock, (0.0, BytesReceived(READER, b"\r")), STOP))
    again.clock.advance(STALL_LIMIT_S + 1.0)
    again.controller.run(FakeQueue(again.clock, (0.0, BytesReceived(READER, swiped(CARD))), STOP))
    assert again.worker.backlog() == 0


def test_a_short_hitch_loses_nothing() -> None:
    """A busy machine is no stall."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    stand_still(door, typed(RIGHT_PIN), for_s=STALE_S)

    assert door.reasons == ["ok"]


def posted(*events: PostedEvent) -> EventQueue:
    """Return a queue in which all of them wait, and the order to stop behind them."""
    event_queue: EventQueue = queue.SimpleQueue()
    for event in (*events, StopRequested()):
        event_queue.put(event)
    return event_queue


def test_a_flood_is_dropped_and_told_of_once() -> None:
    """Whoever stood at the door meanwhile begins anew; the order to stop is seen at once."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    for _ in range(2):
        door.controller.run(posted(*[BytesReceived(KEYPAD, RIGHT_PIN.encode())] * FLOOD))
        door.controller.handle(BytesReceived(READER, swiped(CARD)))

    assert door.relay.edges == []
    assert door.reasons == ["fault"]
    assert [line["kind"] for line in door.log.named("alarm")] == ["overloaded"]
    assert door.worker.backlog() == 1  # the outcome alone: what the lines still held is dropped
    assert FLOOD <= MOST_PENDING


def test_a_loop_that_does_not_keep_up_drops_what_the_lines_bring() -> None:
    """However slow the machine is: a second behind is as bad as hundreds of events."""
    door = FakeDoor(each_turn=lambda: door.clock.advance(BEHIND_S / 2 + 0.1))
    door.controller.run(posted(*[BytesReceived(READER, swiped(CARD))] * 2 * FEW))

    assert len(door.reasons) <= 4
    assert [line["kind"] for line in door.log.named("alarm")] == ["overloaded"]


class Resting(queue.SimpleQueue[PostedEvent]):
    """A queue in which nothing comes for long, and then much at once.

    `missed`: a moment too late for who waits.
    """

    def __init__(self, door: FakeDoor, *events: PostedEvent, missed: bool) -> None:
        self._door = door
        self._events = events
        self._missed = missed

    def get(self, block: bool = True, timeout: float | None = None) -> PostedEvent:
        """Take the next; the first comes after a pause."""
        if self._events:
            self._door.clock.advance(2 * BEHIND_S)
            for event in (*self._events, StopRequested()):
                self.put(event)
            self._events = ()
            if self._missed:
                raise queue.Empty
        return super().get(block, timeout)


@pytest.mark.parametrize("missed", [False, True])
def test_a_swipe_after_a_pause_is_no_flood(*, missed: bool) -> None:
    """A loop that slept was not behind, however many bytes it wakes to.

    Bug (end-to-end test, on a busy machine): a swipe after a quiet second was thrown away as a
    flood where its bytes came between two looks of the loop.
    """
    door = FakeDoor()
    bytes_of_it = [BytesReceived(READER, bytes([byte])) for byte in swiped(CARD)]
    door.controller.run(Resting(door, *[PinsTouched()] * (FEW // 2), *bytes_of_it, missed=missed))

    assert door.worker.backlog() == 1
    assert door.log.named("alarm") == []


def test_a_buzzing_contact_is_no_flood() -> None:
    """An input that never rests refuses nobody."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    door.controller.run(posted(*[PinsTouched()] * FLOOD, *[typed(RIGHT_PIN)[1]]))

    assert door.reasons == ["ok"]
