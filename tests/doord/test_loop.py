"""The loop: what it waits for, lines that come and go, and the relay, which is never left on."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import Prepare, PrepareFailed
from doorctl.access.rights import Ban
from doorctl.access.throttle import CardThrottle
from doorctl.cards.framing import FRAME_IDLE_S
from doorctl.core.errors import DeviceError, StoreError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.ports import AlarmOnce
from doorctl.devices.lines import (
    KEYPAD,
    MOST_PENDING,
    READER,
    BytesReceived,
    LineConnected,
    LineLost,
)
from doorctl.doord.controller import BEHIND_S, FEW, FLOOD, STALE_S, STALL_LIMIT_S, TURN_LIMIT_S
from doorctl.doord.loop_events import (
    EventQueue,
    LoopQueue,
    PinsTouched,
    PostedEvent,
    StopRequested,
    ThreadFailed,
)
from doorctl.doord.slow_jobs import AGAIN_S, SlowJobs
from doorctl.ops.threads import WorkerThread
from tests.cards.samples import STRIPE
from tests.doord.fake_door import CARD, RELEASE_S, RIGHT_PIN, FakeDoor, identifier, key_of, swiped
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog, Field
from tests.fakes.loop import FakeQueue, FakeWorker
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons
from tests.fakes.pins import FakeRelay

LONG_S = 60.0
RESCUE_S = 30.0
"""A wait of a millisecond that takes so long has no end."""


@pytest.fixture
def woken() -> Iterator[None]:
    """Wake this process by a signal, some thousand times a second."""
    ended = threading.Event()

    def wake() -> None:
        while not ended.wait(0.0003):
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    thread = threading.Thread(target=wake, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("woken")
def test_a_wait_ends_whatever_wakes_it() -> None:
    """The loop that waited for ever would be deaf and blind until somebody swiped.

    Bug (end-to-end test, on a busy machine): on Python 3.11 the door's loop could wait for
    ever: a `SimpleQueue.get` that is woken (by a signal, or late) when its time is over never
    ended, and the door was deaf and blind until somebody swiped (about 3 of 100 starts on a
    busy machine; a first mend was not enough).
    """
    event_queue, done, turn = LoopQueue(), threading.Event(), 0

    def rescue() -> None:
        seen = -1
        while not done.wait(RESCUE_S):
            if turn == seen:
                event_queue.put(PinsTouched())
            seen = turn

    threading.Thread(target=rescue, daemon=True).start()
    rescued = 0
    while turn < 3_000 and not rescued:
        turn += 1
        with suppress(queue.Empty):
            event_queue.get(timeout=(turn % 3) * 0.0005)
            rescued = turn
    done.set()

    assert not rescued


def test_what_is_posted_is_taken_in_order_by_whoever_waits() -> None:
    """Before the wait, during it, and several at once; with a limit or without."""
    event_queue, first, second = LoopQueue(), PinsTouched(), PinsTouched()
    event_queue.put(first)
    event_queue.put(second)
    assert event_queue.get(timeout=0.0) is first
    assert event_queue.get_nowait() is second
    with pytest.raises(queue.Empty):
        event_queue.get_nowait()

    for limit_s in (LONG_S, None):
        threading.Timer(0.05, event_queue.put, (first,)).start()
        assert event_queue.get(timeout=limit_s) is first


def test_a_wait_is_not_cut_short_by_an_event_that_was_taken_before_it_was_told() -> None:
    """Whoever posts may stand still between the two, on a busy machine."""
    event_queue = LoopQueue()
    event_queue.put(PinsTouched())
    event_queue.get_nowait()
    began_s = time.monotonic()
    threading.Timer(0.05, event_queue._posted.release).start()  # noqa: SLF001 - as `put` does at its end

    with pytest.raises(queue.Empty):
        event_queue.get(timeout=0.3)

    assert time.monotonic() - began_s >= 0.3


STOP: tuple[float, PostedEvent] = (60.0, StopRequested())


def stand_still(door: FakeDoor, *events: tuple[float, PostedEvent], for_s: float) -> None:
    """Run, and be stopped for so long before each event is taken, as by SIGSTOP."""
    door.controller.run(FakeQueue(door.clock, *events, STOP, turn_s=for_s))


def typed(pin: str) -> tuple[float, PostedEvent]:
    """Return a PIN typed at once."""
    return 0.0, BytesReceived(KEYPAD, pin.encode())


def test_what_was_typed_while_the_door_stood_still_opens_nothing(door: FakeDoor) -> None:
    """Whoever typed it has gone; the next one at the door is somebody else.

    Bug (stranger's review): keys typed while the process was stopped opened the door when it went
    on.
    """
    door.present(CARD)
    stand_still(door, typed(RIGHT_PIN), for_s=STALL_LIMIT_S + 0.1)

    assert door.relay.edges == []
    assert door.reasons == ["fault"]
    assert door.log.alarms == ["stalled"]


def test_a_loop_that_stands_still_does_not_decide(door: FakeDoor) -> None:
    """As the socket's threads see it, which go on: not before it begins, nor once it is stuck."""
    found = [door.controller.turns]
    door.controller.run(FakeQueue(door.clock, (0.0, StopRequested())))
    found.append(door.controller.turns)
    door.clock.advance(STALL_LIMIT_S + 0.1)
    found.append(door.controller.turns)

    assert found == [False, True, False]


def test_a_card_swiped_while_the_door_stood_still_is_forgotten(door: FakeDoor) -> None:
    """It starts no attempt that a later PIN could finish; the lamp says to swipe again."""
    stand_still(door, (0.0, BytesReceived(READER, swiped(CARD))), for_s=STALL_LIMIT_S + 0.1)
    assert door.reasons == ["card_unreadable"]

    door.work()
    assert [visit.card for visit in door.recorded] == [None]


def test_what_the_lines_still_held_is_dropped_too(door: FakeDoor) -> None:
    """The kernel hands it over a moment after the door goes on."""
    still = FakeQueue(door.clock, (0.0, BytesReceived(READER, b"\r")), STOP, turn_s=4.0)
    door.controller.run(still)
    door.controller.handle(BytesReceived(READER, swiped(CARD)))
    assert door.worker.backlog() == 1

    again = FakeDoor()
    again.controller.run(FakeQueue(again.clock, (0.0, BytesReceived(READER, b"\r")), STOP))
    again.clock.advance(STALL_LIMIT_S + 1.0)
    again.controller.run(FakeQueue(again.clock, (0.0, BytesReceived(READER, swiped(CARD))), STOP))
    assert again.reasons == ["card_unreadable"]


@pytest.mark.parametrize("at_s", [0.1, STALE_S - 0.1])
def test_who_swipes_right_after_a_flood_is_told_to_swipe_again(door: FakeDoor, at_s: float) -> None:
    """Once, by lamp and screen, however many bytes came; of a swipe's second half is no card made.

    Bug (second penetration test, S11): what was swiped in the half second after a flood vanished
    without any lamp.
    """
    door.controller.run(posted(*[BytesReceived(READER, b"A" * 200)] * FLOOD))
    assert door.log.alarms == ["overloaded"]
    door.wait(at_s)
    door.says(swiped(CARD)[:5])
    door.wait(STALE_S - at_s)
    door.says(swiped(CARD)[5:])

    assert door.reasons == ["card_unreadable"]
    assert door.signals.lamps.red
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    door.wait(STALE_S)
    assert door.reasons == ["card_unreadable", "ok"]


@pytest.mark.parametrize("carries_keys", [False, True])
def test_keys_right_after_a_flood_light_nothing(*, carries_keys: bool) -> None:
    """Whoever typed them has a lamp of their own, and the next card is heard from its start."""
    door = FakeDoor(carries_keys=carries_keys)
    door.controller.run(posted(*[BytesReceived(KEYPAD, RIGHT_PIN.encode())] * FLOOD))
    door.types(RIGHT_PIN[:2])
    door.wait(STALE_S)
    assert door.reasons == []

    assert door.visit(CARD, RIGHT_PIN) == "ok"


def test_a_short_hitch_loses_nothing(door: FakeDoor) -> None:
    """A busy machine is no stall."""
    door.present(CARD)
    stand_still(door, typed(RIGHT_PIN), for_s=STALE_S)

    assert door.reasons == ["ok"]


def posted(*events: PostedEvent) -> EventQueue:
    """Return a queue in which all of them wait, and the order to stop behind them."""
    event_queue: EventQueue = queue.SimpleQueue()
    for event in (*events, StopRequested()):
        event_queue.put(event)
    return event_queue


def test_a_flood_is_dropped_and_told_of_once(door: FakeDoor) -> None:
    """Whoever stood at the door meanwhile begins anew; the order to stop is seen at once."""
    door.present(CARD)
    for _ in range(2):
        door.controller.run(posted(*[BytesReceived(KEYPAD, RIGHT_PIN.encode())] * FLOOD))
        door.controller.handle(BytesReceived(READER, swiped(CARD)))

    assert door.relay.edges == []
    assert door.reasons == ["fault"]
    assert door.log.alarms == ["overloaded"]
    assert door.worker.backlog() == 1  # the outcome alone: what the lines still held is dropped
    assert FLOOD <= MOST_PENDING


def test_a_loop_that_does_not_keep_up_drops_what_the_lines_bring() -> None:
    """However slow the machine is: a second behind is as bad as hundreds of events."""
    door = FakeDoor(each_turn=lambda: door.clock.advance(BEHIND_S / 2 + 0.1))
    door.controller.run(posted(*[BytesReceived(READER, swiped(CARD))] * 2 * FEW))

    assert len(door.reasons) <= 4
    assert door.log.alarms == ["overloaded"]


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
def test_a_swipe_after_a_pause_is_no_flood(door: FakeDoor, *, missed: bool) -> None:
    """A loop that slept was not behind, however many bytes it wakes to.

    Bug (end-to-end test, on a busy machine): a swipe after a quiet second was thrown away as a
    flood where its bytes came between two looks of the loop.
    """
    bytes_of_it = [BytesReceived(READER, bytes([byte])) for byte in swiped(CARD)]
    door.controller.run(Resting(door, *[PinsTouched()] * (FEW // 2), *bytes_of_it, missed=missed))

    assert door.worker.backlog() == 1
    assert door.log.named("alarm") == []


def test_a_buzzing_contact_is_no_flood(door: FakeDoor) -> None:
    """An input that never rests refuses nobody."""
    door.present(CARD)
    door.controller.run(posted(*[PinsTouched()] * FLOOD, *[typed(RIGHT_PIN)[1]]))

    assert door.reasons == ["ok"]


@pytest.mark.parametrize("apart_s", [0.05, FRAME_IDLE_S])
def test_a_swipe_is_cut_by_a_pause_of_its_own_and_by_none_of_the_loop(apart_s: float) -> None:
    """What counts is when its bytes were read, however late the loop comes to them.

    Bug (an outside look): a loop that stood still for half a second amid a swipe cut the card.
    """
    door = FakeDoor(each_turn=lambda: door.clock.advance(FRAME_IDLE_S + 0.1))
    at_s, swipe = door.clock.monotonic_s(), STRIPE + b"\r"
    first, rest = BytesReceived(READER, swipe[:50], at_s), BytesReceived(READER, swipe[50:])
    door.controller.run(posted(first, replace(rest, read_s=at_s + apart_s)))
    door.work()

    assert door.reasons[:1] == ([] if apart_s < FRAME_IDLE_S else ["card_unreadable"])
    assert (door.recorded[0].card is None) == (apart_s >= FRAME_IDLE_S)


HEALTH_SWIPE = STRIPE + b"\r"


def lose(door: FakeDoor, line: str = READER) -> None:
    """Pull a cable and put it back."""
    door.controller.handle(LineLost(line, "unplugged"))
    door.controller.handle(LineConnected(line))


def test_the_door_is_ready_once_each_line_was_tried(door: FakeDoor) -> None:
    """Not before, and whether they could be opened or not: staff see a lost line in the status.

    A line that comes back does not say it again.
    """
    assert door.readied == 0
    door.controller.handle(LineConnected(READER))
    door.controller.handle(LineConnected(READER))
    assert door.readied == 0
    door.controller.handle(LineLost(KEYPAD, "no such device"))

    assert door.controller.connected == {READER: True, KEYPAD: False}
    lose(door)
    assert door.readied == 1


@pytest.mark.parametrize("line", [READER, KEYPAD])
def test_digits_typed_before_a_line_was_lost_do_not_count(door: FakeDoor, line: str) -> None:
    """A keypad that restarts in the middle of a PIN: the patron types all of it anew."""
    door.present(CARD, RIGHT_PIN[:2])
    lose(door, line)
    door.types(RIGHT_PIN[:2])
    door.work()
    assert door.reasons == []

    door.types(RIGHT_PIN[2:])
    door.work()
    assert door.reasons == ["ok"]


def test_each_change_of_a_line_is_logged_under_its_name(door: FakeDoor) -> None:
    """With the reason for a loss, which names a device and no person."""
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


def test_the_loop_wakes_for_a_swipe_that_never_ends(door: FakeDoor) -> None:
    """The frame's own time-out is one of the loop's deadlines: the red lamp does not wait."""
    door.says(b";30000")
    assert door.controller.deadline_s == door.clock.monotonic_s() + FRAME_IDLE_S
    door.wait(FRAME_IDLE_S)

    assert door.reasons == ["card_unreadable"]


def test_a_lost_reader_leaves_the_attempt_to_its_pin(door: FakeDoor) -> None:
    """The card was read before the cable was pulled; only what is half read is forgotten."""
    door.present(CARD)
    lose(door)
    door.types(RIGHT_PIN)

    assert door.reasons == ["ok"]


def test_a_lost_keypad_does_not_reset_the_reader(door: FakeDoor) -> None:
    """Half a swipe goes on while the other cable is pulled."""
    swipe = swiped(CARD)
    door.says(swipe[:4])
    lose(door, KEYPAD)
    door.says(swipe[4:])
    door.work()
    door.types(RIGHT_PIN)

    assert door.reasons == ["ok"]


def test_a_card_that_another_one_followed_is_not_prepared() -> None:
    """Which attempt is the newest is asked when the worker comes to it, not when it is queued."""
    door, posted, newest = FakeDoor(), list[PostedEvent](), iter([2])
    worker = FakeWorker(posted.append)
    jobs = SlowJobs(door.ledger, worker, AlarmOnce(door.log, "patron_cache_failing"))
    jobs.prepare(Prepare(1, (identifier(CARD),)), lambda: next(newest))
    worker.work()

    assert posted == [PrepareFailed(1)]
    assert door.recorded == []


@pytest.mark.parametrize(
    ("mended", "reason", "alarms"), [(True, "ok", []), (False, "fault", ["patron_cache_failing"])]
)
def test_a_file_that_is_put_back_meanwhile_refuses_nobody(
    *, mended: bool, reason: str, alarms: list[str]
) -> None:
    """What can't be read is asked once more after a second; then it is a fault, and told of.

    Bug (outside look): an entitled patron was refused for a database that was not whole for a
    moment.
    """
    paused: list[float] = []

    def pause(for_s: float) -> None:
        paused.append(for_s)
        door.patrons.broken = not mended

    door = FakeDoor(pause=pause)
    door.patrons.broken = True

    assert door.visit(CARD, RIGHT_PIN) == reason
    assert paused == [AGAIN_S]
    assert door.log.alarms == alarms
    assert door.outcomes == [reason]
    assert bool(door.relay.edges) is mended
    assert door.visits.card_throttle(key_of(CARD)) == CardThrottle()


class WithoutBans(MemoryBranch):
    """A branch whose pages with the bans are bad; the rest of the file is not."""

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Fail."""
        assert (len(row_key), patron_ref) == (16, f"ref {CARD}")
        raise StoreError("the bans are malformed")


def test_lost_bans_are_no_failing_patron_cache() -> None:
    """Each swipe is a fault, and whoever is called out is sent to the right file once.

    Bug (attack review): lost bans were told as a failing patron cache.
    """
    door = FakeDoor(branch=WithoutBans())

    assert [door.visit(CARD, RIGHT_PIN) for _ in range(3)] == ["fault"] * 3
    assert door.log.alarms == ["branch_failing"]


class Looked(MemoryPatrons):
    """A register that counts the looks at its version."""

    looks = 0

    def version(self) -> int:
        """Count a look."""
        self.looks += 1
        return super().version()


def test_each_turn_looks_at_the_register_too() -> None:
    """From its last look on a file that is being replaced answers for some seconds more."""
    register = Looked()
    door = FakeDoor(patrons=register)
    before = register.looks
    door.wait(1.0)

    assert register.looks > before


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


def test_the_time_sources_are_asked_between_keys() -> None:
    """The loop turns when an answer has ended, so that no last digit waits for the next one.

    Bug (benchmark by stops): the sources of the time were asked by the first event a second after
    the last answer, which was a patron's last digit as often as not: 0.4 ms more after a rest.
    """
    door = FakeDoor(clock=FakeClock(ask_every_s=1.0))
    keys = [(at_s, BytesReceived(KEYPAD, b"4")) for at_s in (0.7, 1.3, 1.9, 2.5)]
    began_s = door.clock.monotonic
    door.controller.run(FakeQueue(door.clock, *keys, stop(4.5)))

    assert [at_s - began_s for at_s in door.clock.asked_s] == pytest.approx([0, 1, 2, 3, 4])


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
