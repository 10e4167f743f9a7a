"""Serial lines come and go: readiness, the log's lines, and half a swipe before a lost cable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.reader import FRAME_IDLE_S, LineConnected, LineLost
from doorctl.doord.controller import KEYPAD, READER
from tests.cards.samples import STRIPE
from tests.doord.fake_door import CARD, RIGHT_PIN, FakeDoor, swiped

HEALTH_SWIPE = STRIPE + b"\r"


def lose(door: FakeDoor, line: str = READER) -> None:
    """Pull a cable and put it back."""
    door.controller.handle(LineLost(line, "unplugged"))
    door.controller.handle(LineConnected(line))


def test_the_door_is_ready_once_each_line_was_tried() -> None:
    """Not before, and whether they could be opened or not: staff see a lost line in the status.

    A line that comes back does not say it again.
    """
    door = FakeDoor()
    assert door.readied == 0
    door.controller.handle(LineConnected(READER))
    door.controller.handle(LineConnected(READER))
    assert door.readied == 0
    door.controller.handle(LineLost(KEYPAD, "no such device"))

    assert door.controller.connected == {READER: True, KEYPAD: False}
    lose(door)
    assert door.readied == 1


def test_each_change_of_a_line_is_logged_under_its_name() -> None:
    """With the reason for a loss, which names a device and no person."""
    door = FakeDoor()
    lose(door)
    lose(door, KEYPAD)

    assert [line for line in door.log.lines if line["event"] != "mode"] == [
        {"event": "reader", "state": "lost", "why": "unplugged"},
        {"event": "reader", "state": "connected"},
        {"event": "keypad", "state": "lost", "why": "unplugged"},
        {"event": "keypad", "state": "connected"},
    ]
    assert door.controller.connected == {READER: True, KEYPAD: True}


@given(st.integers(1, len(HEALTH_SWIPE) - 1), st.sampled_from([HEALTH_SWIPE, swiped(CARD)]))
def test_half_a_swipe_before_a_loss_and_half_after_make_no_card(cut: int, swipe: bytes) -> None:
    """What was held is forgotten: the second half alone never looks a whole card up."""
    cut = cut % (len(swipe) - 1) + 1
    door = FakeDoor()
    whole = FakeDoor()
    whole.says(swipe[cut:])
    door.says(swipe[:cut])
    lose(door)
    door.says(swipe[cut:])

    assert door.worker.backlog() == whole.worker.backlog()
    assert door.reasons == whole.reasons
    door.work()
    door.types(RIGHT_PIN)
    door.work()
    assert not door.relay.edges


def test_the_loop_wakes_for_a_swipe_that_never_ends() -> None:
    """The frame's own time-out is one of the loop's deadlines: the red lamp does not wait."""
    door = FakeDoor()
    door.says(b";30000")
    assert door.controller.deadline_s == door.clock.monotonic_s() + FRAME_IDLE_S
    door.wait(FRAME_IDLE_S)

    assert door.reasons == ["card_unreadable"]


def test_a_lost_reader_leaves_the_attempt_to_its_pin() -> None:
    """The card was read before the cable was pulled; only what is half read is forgotten."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    lose(door)
    door.types(RIGHT_PIN)

    assert door.reasons == ["ok"]


def test_a_lost_keypad_does_not_reset_the_reader() -> None:
    """Half a swipe goes on while the other cable is pulled."""
    door = FakeDoor()
    swipe = swiped(CARD)
    door.says(swipe[:4])
    lose(door, KEYPAD)
    door.says(swipe[4:])
    door.work()
    door.types(RIGHT_PIN)

    assert door.reasons == ["ok"]
