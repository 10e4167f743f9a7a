from __future__ import annotations

from doorctl.controller import KEYPAD, READER, STALE_S, STALL_LIMIT_S
from doorctl.mailbox import PostedEvent, StopRequested
from doorctl.ports import BytesReceived
from tests.application.fake_door import CARD, RIGHT_PIN, FakeDoor, swiped
from tests.fakes.mailbox import FakeMailbox

STOP: tuple[float, PostedEvent] = (60.0, StopRequested())


def stand_still(door: FakeDoor, *events: tuple[float, PostedEvent], for_s: float) -> None:
    """Run, and be stopped for so long before each event is taken, as by SIGSTOP."""
    door.controller.run(FakeMailbox(door.clock, *events, STOP, turn_s=for_s))


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


def test_a_card_swiped_while_the_door_stood_still_is_forgotten() -> None:
    """It starts no attempt that a later PIN could finish."""
    door = FakeDoor()
    stand_still(door, (0.0, BytesReceived(READER, swiped(CARD))), for_s=STALL_LIMIT_S + 0.1)

    assert door.worker.backlog() == 0
    assert door.reasons == []


def test_what_the_lines_still_held_is_dropped_too() -> None:
    """The kernel hands it over a moment after the door goes on."""
    door = FakeDoor()
    still = FakeMailbox(door.clock, (0.0, BytesReceived(READER, b"\r")), STOP, turn_s=4.0)
    door.controller.run(still)
    door.controller.handle(BytesReceived(READER, swiped(CARD)))
    assert door.worker.backlog() == 1

    again = FakeDoor()
    again.controller.run(FakeMailbox(again.clock, (0.0, BytesReceived(READER, b"\r")), STOP))
    again.clock.advance(STALL_LIMIT_S + 1.0)
    again.controller.run(FakeMailbox(again.clock, (0.0, BytesReceived(READER, swiped(CARD))), STOP))
    assert again.worker.backlog() == 0


def test_a_short_hitch_loses_nothing() -> None:
    """A busy machine is no stall."""
    door = FakeDoor()
    door.swipe(CARD)
    door.work()
    stand_still(door, typed(RIGHT_PIN), for_s=STALE_S)

    assert door.reasons == ["ok"]
