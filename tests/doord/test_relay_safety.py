"""The relay is never left on: not by a flood, a stop, a bug, or a device that fails."""

from __future__ import annotations

import queue
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.reader import BytesReceived
from doorctl.core.errors import DeviceError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.doord.controller import KEYPAD, READER, TURN_LIMIT_S
from doorctl.doord.jobs import EventQueue, PostedEvent, StopRequested, ThreadFailed
from doorctl.ops.process import WorkerThread
from tests.doord.fake_door import CARD, RELEASE_S, RIGHT_PIN, FakeDoor, swiped
from tests.fakes.event_log import FakeEventLog, Field
from tests.fakes.loop import FakeQueue
from tests.fakes.memory_store import FastSealer
from tests.fakes.pins import FakeRelay

LONG_AFTER_S = 120.0


class PortBrokeError(Exception):
    """What a port raises that nobody expects."""


def opened() -> FakeDoor:
    """Return a door that has just been released."""
    door = FakeDoor()
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    assert door.relay.energised
    return door


def noise(at_s: float) -> tuple[float, PostedEvent]:
    """Return a byte that means nothing, and when it comes."""
    return at_s, BytesReceived(KEYPAD, b"\n")


def stop(at_s: float = LONG_AFTER_S) -> tuple[float, PostedEvent]:
    """Return the end of a run."""
    return at_s, StopRequested()


def pulse_s(door: FakeDoor) -> float:
    """Return how long the one pulse was."""
    on, off = door.relay.edges
    return off.at_s - on.at_s


@pytest.mark.parametrize("line", [READER, KEYPAD])
def test_a_flood_of_events_does_not_hold_the_relay(line: str) -> None:
    """However many events wait, the relay is late by one event at the most."""
    door = opened()
    flood: list[tuple[float, PostedEvent]] = [(0.0, BytesReceived(line, b"%;?\r"))] * 2000
    door.controller.run(FakeQueue(door.clock, *flood, stop(), turn_s=0.01))

    assert RELEASE_S <= pulse_s(door) <= RELEASE_S + 0.02


@given(st.lists(st.floats(0.0, 3.0), max_size=30))
def test_whenever_events_come_the_relay_is_on_for_the_release_alone(gaps: list[float]) -> None:
    """No rhythm of events shortens or lengthens a pulse."""
    door = opened()
    at_s, events = 0.0, []
    for gap in gaps:
        at_s += gap
        events.append(noise(at_s))
    door.controller.run(FakeQueue(door.clock, *events, stop()))

    assert pulse_s(door) == pytest.approx(RELEASE_S)


def test_the_loop_never_sleeps_past_a_deadline_or_a_second() -> None:
    """It waits for the nearest deadline, at most a second, so that the watchdog is fed."""
    door = opened()
    assert door.controller.deadline_s is not None
    event_queue = FakeQueue(door.clock, stop(60.0))
    door.controller.run(event_queue)

    assert max(event_queue.waits_s) == TURN_LIMIT_S
    assert event_queue.waits_s[0] == pytest.approx(0.05), "the buzzer's click ends first"
    assert door.controller.deadline_s is None


def test_a_deadline_that_is_past_is_not_waited_for() -> None:
    """A loop that was held up looks for events at once."""
    door = opened()
    event_queue = FakeQueue(door.clock, noise(0.0), stop(RELEASE_S), turn_s=RELEASE_S + 1)
    door.controller.run(event_queue)

    assert min(event_queue.waits_s) >= 0.0
    assert not door.relay.energised


def test_a_stop_locks_the_door_at_once() -> None:
    """SIGTERM in the middle of a release does not wait for its end."""
    door = opened()
    door.controller.run(FakeQueue(door.clock, stop(1.0)))

    assert pulse_s(door) == 1.0
    assert door.log.named("relay")[-1]["energised"] is False


def test_a_thread_that_failed_ends_the_loop_with_its_error() -> None:
    """The daemon does not go on without it; the door is locked first."""
    door = opened()
    with pytest.raises(PortBrokeError):
        door.controller.run(FakeQueue(door.clock, (1.0, ThreadFailed(PortBrokeError()))))

    assert not door.relay.energised


@dataclass
class BreakableLog(FakeEventLog):
    """A log that raises at one event, which a real one never does."""

    broken_at: str = ""

    def emit(self, event: str, **fields: Field) -> None:
        """Keep a line, or raise."""
        if event == self.broken_at:
            raise PortBrokeError
        super().emit(event, **fields)


def run_into_a_bug(door: FakeDoor, *events: tuple[float, PostedEvent]) -> None:
    """Run until the loop dies of a bug, and see the door locked."""
    with pytest.raises(PortBrokeError):
        door.controller.run(FakeQueue(door.clock, *events, stop()))
    assert not door.relay.energised


def test_lamps_that_raise_at_the_grant_lock_the_door_again(door: FakeDoor) -> None:
    """The strike was released just before; it is not left so, and no grant is on record."""
    door.present(CARD, RIGHT_PIN[:3])
    door.wait(1.0)
    door.signals.broken = PortBrokeError()

    run_into_a_bug(door, (0.0, BytesReceived(KEYPAD, RIGHT_PIN[3:].encode())))
    assert [edge.energised for edge in door.relay.edges] == [True, False]
    assert "ok" not in door.reasons


@pytest.mark.parametrize("broken_at", ["relay", "door", "decision"])
def test_a_log_that_raises_leaves_the_relay_off(broken_at: str) -> None:
    """Even where the line about the relay itself can't be written."""
    log = BreakableLog()
    door = FakeDoor(log=log)
    door.present(CARD, RIGHT_PIN[:3])
    log.broken_at = broken_at

    run_into_a_bug(door, (0.0, BytesReceived(KEYPAD, RIGHT_PIN[3:].encode())))


class BrokenSealer(FastSealer):
    """A bug on the worker's thread."""

    def stretch(self, identifier: Identifier) -> StretchedKey:  # noqa: ARG002 - the port's
        """Raise."""
        raise PortBrokeError


def test_a_bug_on_the_workers_thread_ends_the_loop() -> None:
    """With a real thread and a real queue: the error comes out of `run`, the relay is off."""
    door = FakeDoor(sealer=BrokenSealer())
    event_queue: EventQueue = queue.SimpleQueue()
    worker: WorkerThread[PostedEvent] = WorkerThread(
        event_queue.put, lambda error: event_queue.put(ThreadFailed(error))
    )
    worker.start()
    controller = door.build(door.relay, worker)
    event_queue.put(BytesReceived(READER, swiped(CARD)))

    with pytest.raises(PortBrokeError):
        controller.run(event_queue)
    assert not door.relay.energised


class StubbornRelay(FakeRelay):
    """A relay whose driver complains when it is switched on, or the first time it goes off."""

    def __init__(self, complains_about: str) -> None:
        super().__init__()
        self.complains_about = complains_about
        self.tried: list[str] = []

    def energise(self) -> None:
        """Switch on, and perhaps complain: the output may have moved all the same."""
        super().energise()
        self._try("on")

    def de_energise(self) -> None:
        """Complain the first time, or switch off."""
        if "off" not in self.tried:
            self._try("off")
        super().de_energise()

    def _try(self, what: str) -> None:
        self.tried.append(what)
        if what == self.complains_about:
            raise DeviceError("GPIO17 can't be driven: the fake relay is stubborn")


def test_a_relay_that_cannot_be_switched_on_grants_nothing(
    door: FakeDoor,
) -> None:
    """The patron did not get in: no line and no row says so, and the output is switched off.

    The attempt stays open, so that the next start closes it as a fault with its charge.
    """
    relay = StubbornRelay("on")
    door.start(relay)
    door.present(CARD)
    keys = BytesReceived(KEYPAD, RIGHT_PIN.encode())
    with pytest.raises(DeviceError):
        door.controller.run(FakeQueue(door.clock, (0.0, keys), stop()))

    assert not relay.energised
    assert relay.tried == ["on", "off"]
    assert door.reasons == []
    assert not [line for line in door.log.named("relay") if line["energised"]]
    door.work()
    assert door.outcomes == [None]
    door.restart()
    assert door.outcomes == ["fault"]


def test_a_relay_that_will_not_go_off_is_tried_again_on_the_way_out(door: FakeDoor) -> None:
    """The error at the deadline ends the loop, and its last act is to switch off once more."""
    relay = StubbornRelay("off")
    door.start(relay)
    door.visit(CARD, RIGHT_PIN)
    with pytest.raises(DeviceError):
        door.controller.run(FakeQueue(door.clock, stop()))

    assert relay.tried == ["on", "off"]
    assert not relay.energised
