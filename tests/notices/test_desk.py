"""From an alarm to a notice: what it says and what it never says; and the watch over the door.

Bug (penetration test): web without descriptors said that the door was silent.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from doorctl.core.alarms import KINDS, RaisedAlarm, Ration
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.ports import Notice
from doorctl.notices.sending import SILENT_AFTER, DoorWatch, Notifier, notice
from tests.fakes.alarm_sink import FakeSink
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.notices.samples import AT, BRANCH, MOMENT, a_notice


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test moves."""
    return FakeClock()


@pytest.fixture
def sink() -> FakeSink:
    """Return a way out."""
    return FakeSink()


@pytest.fixture
def log() -> FakeEventLog:
    """Return a log."""
    return FakeEventLog()


@pytest.fixture
def desk(clock: FakeClock, sink: FakeSink, log: FakeEventLog) -> Notifier:
    """Return a desk that sends each kind once an hour."""
    return notifier(sink, clock, log)


def notifier(sink: FakeSink, clock: FakeClock, log: FakeEventLog) -> Notifier:
    """Return one that sends each kind once an hour."""
    made = Notifier(BRANCH, "e-mail", ration := Ration(3600.0, 20))
    made.renew(sink, ration, clock=clock, log=log)
    return made


def test_a_notice_says_all_that_is_needed() -> None:
    """Where, what, how urgent, when, why, what to do: whoever is woken needs no manual."""
    heard = RaisedAlarm("visit_log_failing", "the disk is full", 40.0, times=3)
    made = notice(heard, BRANCH, MOMENT, 100.0)

    assert (made.branch, made.why, made.times) == (BRANCH, "the disk is full", 3)
    assert made.known is KINDS["visit_log_failing"]
    assert (made.at, made.clock) == (AT - timedelta(seconds=60), ClockState.TRUSTED)
    unset = replace(MOMENT, state=ClockState.UNTRUSTED)
    assert notice(heard, BRANCH, unset, 100.0).clock is ClockState.UNTRUSTED


def test_a_call_for_help_has_no_words() -> None:
    """Nothing of the attempt, the card or the place in the log leaves with it."""
    made = a_notice("duress", "attempt 17, card 3000001234")

    assert made == a_notice("duress")
    assert made.why == ""


def test_each_notice_has_its_own_number() -> None:
    """Another kind, other words or another time is another notice; the same is the same."""
    some = [a_notice(), a_notice(why="x"), a_notice("door_held")]

    assert len({made.id for made in some}) == 3
    assert a_notice().id == a_notice().id


def test_a_sink_that_fails_is_tried_again_and_told_once(
    desk: Notifier, sink: FakeSink, clock: FakeClock, log: FakeEventLog
) -> None:
    """The log says by which way it did not go and why; nothing is lost when it works again."""
    sink.why = "the mail server: no connection"
    desk.hear(RaisedAlarm("door_forced", "", clock.monotonic_s()))

    assert desk.turn()
    clock.advance(10)
    assert desk.turn()
    clock.advance(100)
    sink.why = None

    assert not desk.turn()
    assert [made.kind for made in sink.taken] == ["door_forced"]
    assert log.lines == [
        {
            "event": "alarm",
            "kind": "alarm_not_sent",
            "why": "e-mail: the mail server: no connection",
        }
    ]


def test_a_desk_goes_on_with_another_way(
    desk: Notifier, sink: FakeSink, clock: FakeClock, log: FakeEventLog
) -> None:
    """What waits goes by the new one at once, and what was sent counts by the new ration."""
    desk.hear(RaisedAlarm("stalled", "", clock.monotonic_s()))
    desk.turn()
    sink.why = "the mail server: no connection"
    desk.hear(RaisedAlarm("door_forced", "", clock.monotonic_s()))
    desk.turn()
    clock.advance(60)
    desk.hear(RaisedAlarm("stalled", "", clock.monotonic_s()))
    assert desk.turn()

    other, now, later = FakeSink(), FakeClock(), FakeEventLog()
    now.monotonic = clock.monotonic
    desk.renew(other, Ration(120.0, 20), clock=now, log=later)
    assert desk.turn()
    assert [made.kind for made in other.taken] == ["door_forced"]
    now.advance(60)
    assert not desk.turn()
    assert [made.kind for made in sink.taken] == ["stalled"]
    assert [made.kind for made in other.taken] == ["door_forced", "stalled"]

    other.why = "no connection"
    desk.hear(RaisedAlarm("door_forced", "", now.monotonic_s()))
    now.advance(3600)
    desk.turn()
    assert [len(one.lines) for one in (log, later)] == [1, 1]


def test_a_turn_waits_for_the_one_under_way(sink: FakeSink, log: FakeEventLog) -> None:
    """A thread that a reload could not await still sends: nothing goes twice."""
    asked, answered = threading.Event(), threading.Event()

    class Slow(FakeSink):
        """A server that takes its time."""

        def send(self, notice: Notice) -> None:
            """Take one, late."""
            asked.set()
            answered.wait(10.0)
            super().send(notice)

    slow, clock = Slow(), FakeClock()
    desk = notifier(slow, clock, log)
    desk.hear(RaisedAlarm("door_forced", "", clock.monotonic_s()))
    before = threading.Thread(target=desk.turn)
    before.start()
    asked.wait(10.0)
    desk.renew(sink, Ration(3600.0, 20), clock=clock, log=log)
    after = threading.Thread(target=desk.turn)
    after.start()
    after.join(0.2)
    answered.set()
    before.join()
    after.join()

    assert [len(one.taken) for one in (slow, sink)] == [1, 0]


def test_what_is_held_back_asks_for_another_turn(desk: Notifier, clock: FakeClock) -> None:
    """The desk says that it is not done while something waits for its interval."""
    desk.hear(RaisedAlarm("stalled", "", clock.monotonic_s()))
    assert not desk.turn()
    desk.hear(RaisedAlarm("stalled", "", clock.monotonic_s()))

    assert desk.turn()
    clock.advance(3600)
    assert not desk.turn()


class Door:
    """A door process that answers or not."""

    def __init__(self) -> None:
        self.there = True

    def ask(self) -> None:
        """Answer."""
        if not self.there:
            raise NotAnsweringError("the door process does not answer")


def test_a_door_that_is_silent_is_told_once_and_so_is_its_return(log: FakeEventLog) -> None:
    """A restart is no alarm; a door that stays away is one, and its end is told too."""
    door = Door()
    watch = DoorWatch(door.ask, log)
    watch.turn()
    door.there = False
    for _ in range(SILENT_AFTER - 1):
        watch.turn()
    assert log.lines == []
    door.there = True
    watch.turn()
    door.there = False
    for _ in range(3 * SILENT_AFTER):
        watch.turn()
    door.there = True
    watch.turn()
    watch.turn()

    assert [line["kind"] for line in log.lines] == ["door_silent", "door_answers"]


def test_a_door_that_can_not_be_asked_is_not_silent(log: FakeEventLog) -> None:
    """Whoever has no socket to ask by does not know; what it knew before stands."""

    def unasked() -> None:
        raise StoreError("no socket to ask the door process by: Too many open files")

    watch = DoorWatch(unasked, log)
    for _ in range(3 * SILENT_AFTER):
        watch.turn()

    assert log.lines == []
