"""What waits to be handed over, in order, tried again, never without bound; and what makes it."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.alarms import KINDS, RaisedAlarm
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.ports import Notice, NotSentError
from doorctl.notices.rationing import Ration
from doorctl.notices.sending import (
    FAR_PAUSES_S,
    GIVEN_UP_S,
    NEAR_PAUSES_S,
    SILENT_AFTER,
    URGENT_PAUSE_S,
    AlarmLog,
    DoorWatch,
    Notifier,
    Outbox,
    notice,
)
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S
from tests.notices.samples import AT, BRANCH, MOMENT, a_notice


@dataclass
class FakeSink:
    """Takes notices, or refuses them while `why` is set.

    `taken`: what was sent, in order; `tried`: how often somebody tried.
    """

    why: str | None = None
    taken: list[Notice] = field(default_factory=list)
    tried: int = 0

    def send(self, notice: Notice) -> None:
        """Take one."""
        self.tried += 1
        if self.why is not None:
            raise NotSentError(self.why)
        self.taken.append(notice)


PATIENT, NOW, PEOPLE = "library_silent", "door_forced", "duress"
ONE_TURN_S = 15.0
DOWN = "the way is down"


class Way:
    """A way that is up or down, and what waits for it."""

    def __init__(self, *, up: bool = True, **options: Any) -> None:
        self.up, self.tried = up, 0
        self.gone: list[int] = []
        self.told: list[str] = []
        self.outbox: Outbox[RaisedAlarm] = Outbox(self.send, self.told.append, **options)

    def put(self, *numbers: int, kind: str = PATIENT) -> None:
        """Have some wait."""
        for number in numbers:
            self.outbox.put(RaisedAlarm(kind, str(number), 0.0))

    def send(self, heard: RaisedAlarm) -> None:
        """Let one go, if the way is up."""
        self.tried += 1
        if not self.up:
            raise NotSentError(DOWN)
        self.gone.append(int(heard.why))

    def turn(self, now_s: float, *, up: bool | None = None) -> bool:
        """Turn once; tell whether some still wait."""
        self.up = self.up if up is None else up
        return self.outbox.turn(now_s)


def test_items_go_in_order_and_at_once() -> None:
    """What can go goes in one turn, the oldest first; also a kind that is on no list."""
    way = Way()
    way.put(0, 1)
    way.put(2, kind="surprise")

    assert not way.turn(0.0)
    assert way.gone == [0, 1, 2]


def test_a_failure_is_told_once_and_tried_again_later() -> None:
    """The first failure is news, the next ones are not; each pause is longer than the last."""
    way = Way(up=False, pauses_s=FAR_PAUSES_S)
    way.put(1)
    now_s = 0.0
    for pause_s in FAR_PAUSES_S:
        way.turn(now_s)
        assert way.turn(now_s + pause_s - 1)
        now_s += pause_s
    assert way.tried == len(FAR_PAUSES_S)

    way.turn(now_s, up=True)
    assert (way.gone, way.told) == ([1], [DOWN])
    way.put(2)
    way.turn(now_s, up=False)
    assert way.told == [DOWN] * 2


def test_an_item_is_given_up_after_some_hours() -> None:
    """What nobody takes for three hours does not stand in the way of the rest for ever."""
    way = Way(up=False)
    way.put(1, 2)
    now_s = 0.0
    while now_s <= GIVEN_UP_S:
        way.turn(now_s)
        now_s += ONE_TURN_S
    way.turn(now_s + ONE_TURN_S, up=True)

    assert way.gone == [2]


def test_a_near_way_never_gives_up() -> None:
    """What has no other way waits for as long as it takes, within its bound."""
    way = Way(up=False, most=2, given_up_s=math.inf)
    way.put(0, 1, 2)
    for now_s in (0.0, GIVEN_UP_S, 9 * GIVEN_UP_S):
        way.turn(now_s)
    assert way.outbox.kinds() == {PATIENT}
    way.turn(10 * GIVEN_UP_S, up=True)

    assert way.gone == [1, 2]
    assert way.outbox.kinds() == frozenset()


def test_where_there_are_too_many_the_oldest_is_lost() -> None:
    """Memory stays bounded, and the newest says how things are."""
    way = Way(up=False, most=3)
    for item in range(10):
        way.put(item)
        way.turn(0.0)
    way.turn(max(NEAR_PAUSES_S), up=True)

    assert way.gone == [7, 8, 9]


@pytest.mark.parametrize("kind", [NOW, PEOPLE])
def test_a_call_is_tried_at_once_after_an_outage(kind: str) -> None:
    """The pause that an old item has earned does not delay what somebody has to look at now.

    Bug (attack review): after an hour's outage a call for help waited up to two hours more for
    its turn.
    """
    way = Way(up=False, pauses_s=FAR_PAUSES_S)
    way.put(1)
    now_s = 0.0
    for pause_s in FAR_PAUSES_S:
        way.turn(now_s)
        now_s += pause_s
    way.put(2)
    way.turn(now_s - 1, up=True)
    assert way.gone == []

    way.put(3, kind=kind)
    way.turn(now_s - 1)
    assert sorted(way.gone) == [1, 2, 3]


def test_a_call_during_a_try_that_fails_is_tried_at_once() -> None:
    """Where it comes while another item is about to fail, that failure's pause does not count."""

    class Busy(Way):
        """A way by which a call comes meanwhile."""

        def send(self, heard: RaisedAlarm) -> None:
            """Fail with the first, while another comes."""
            if not self.tried:
                self.put(2, kind=PEOPLE)
            self.gone.append(int(heard.why))
            self.up = heard.kind == PEOPLE
            super().send(heard)

    way = Busy(most=1)
    way.put(1)
    way.turn(0.0)

    assert way.gone == [1, 2, 2, 1]


def test_calls_do_not_repeat_the_news_of_the_outage() -> None:
    """That the way is down is told once, however often a call ends the pause."""
    way = Way(up=False)
    for number in range(5):
        way.put(number, kind=NOW)
        way.turn(0.0)

    assert (way.tried, way.told) == (5, [DOWN])


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
    way = Way(up=False, pauses_s=pauses_s)
    way.put(0)
    way.put(1, kind=kind)
    now_s, tried_s = 0.0, 0.0
    while now_s < GIVEN_UP_S / 2:
        before = way.tried
        way.turn(now_s)
        if way.tried > before:
            assert now_s - tried_s <= longest_s
            tried_s = now_s
        now_s += 5.0

    assert now_s - tried_s <= longest_s


def test_people_go_first_and_are_not_crowded_out() -> None:
    """However many doors stand open while the way is down: the call for help is not lost."""
    way = Way(up=False, most=3)
    way.put(1)
    way.put(2, kind=PEOPLE)
    way.put(*range(3, 10), kind=NOW)
    way.turn(0.0)
    way.turn(max(NEAR_PAUSES_S), up=True)

    assert way.gone == [2, 7, 8, 9]


def test_what_was_lost_while_it_went_takes_nothing_along() -> None:
    """An item that falls out while it is being sent is not mistaken for the one after it."""

    class Full(Way):
        """A way by which another item comes meanwhile, for which there is no room."""

        def send(self, heard: RaisedAlarm) -> None:
            """Send, while another comes."""
            if not self.tried:
                self.put(2)
            super().send(heard)

    way = Full(most=1)
    way.put(1)
    way.turn(0.0)

    assert way.gone == [1, 2]


def test_a_mistake_of_ours_costs_one_item() -> None:
    """What a sink can't even write does not stand in the way of the rest."""
    way = Way()
    way.outbox.put(RaisedAlarm(PATIENT, "no number", 0.0))
    way.put(1)
    with pytest.raises(ValueError, match="no number"):
        way.turn(0.0)
    way.turn(0.0)

    assert way.gone == [1]


@given(
    steps=st.lists(st.one_of(st.integers(0, 9000).map(float), st.booleans(), st.none())),
    most=st.integers(1, 5),
)
def test_nothing_goes_twice_or_out_of_order(steps: list[float | bool | None], most: int) -> None:
    """However a way goes up and down: each item goes at most once, and in the order of `put`."""
    way = Way(most=most)
    now_s, items = 0.0, 0
    for step in steps:
        if step is None:
            way.put(items)
            items += 1
        elif isinstance(step, bool):
            way.up = step
        else:
            now_s += step
            way.turn(now_s)

    assert way.gone == sorted(set(way.gone))


# From an alarm to a notice: what it says and what it never says; and the watch over the door.


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
    """The log says by which way it did not go and why, and its end; nothing is lost meanwhile."""
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
        },
        {"event": "alarm", "kind": "alarm_not_sent_cleared"},
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
    assert log.alarms == ["alarm_not_sent"]
    assert later.alarms == ["alarm_not_sent_cleared", "alarm_not_sent"]


def test_a_turn_waits_for_the_one_under_way(sink: FakeSink, log: FakeEventLog) -> None:
    """A thread that a reload could not await still sends: nothing goes twice."""
    asked, answered = threading.Event(), threading.Event()

    class Slow(FakeSink):
        """A server that takes its time."""

        def send(self, notice: Notice) -> None:
            """Take one, late."""
            asked.set()
            answered.wait(LIMIT_S)
            super().send(notice)

    slow, clock = Slow(), FakeClock()
    desk = notifier(slow, clock, log)
    desk.hear(RaisedAlarm("door_forced", "", clock.monotonic_s()))
    before = threading.Thread(target=desk.turn)
    before.start()
    asked.wait(LIMIT_S)
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


def test_a_door_that_is_silent_is_told_once_and_so_is_its_return(log: FakeEventLog) -> None:
    """A restart is no alarm; a door that stays away is one, and its end is told too."""
    door = SimpleNamespace(answers=True)

    def ask() -> None:
        if not door.answers:
            raise NotAnsweringError("the door process does not answer")

    watch = DoorWatch(ask, log)
    for door.answers, turns, said in (
        (True, 1, []),
        (False, SILENT_AFTER - 1, []),
        (True, 1, []),
        (False, 3 * SILENT_AFTER, ["door_silent"]),
        (True, 2, ["door_silent", "door_answers"]),
    ):
        for _ in range(turns):
            watch.turn()
        assert [line["kind"] for line in log.lines] == said


def test_a_door_that_can_not_be_asked_is_not_silent(log: FakeEventLog) -> None:
    """Whoever has no socket to ask by does not know; what it knew before stands.

    Bug (penetration test): web without descriptors said that the door was silent.
    """

    def unasked() -> None:
        raise StoreError("no socket to ask the door process by: Too many open files")

    watch = DoorWatch(unasked, log)
    for _ in range(3 * SILENT_AFTER):
        watch.turn()

    assert log.lines == []


def test_every_line_is_written_and_alarms_go_further() -> None:
    """The journal has all; of an alarm its kind and words go on, and no other field."""
    log, heard, clock = FakeEventLog(), list[RaisedAlarm](), FakeClock(monotonic=7.0)
    both = AlarmLog(log, heard.append, clock)
    both.emit("decision", verdict="refused", attempt=3)
    both.emit("alarm", kind="stalled", why="stood still", attempt=3)
    both.emit("alarm", kind="visit_log_cleared")
    both.emit("alarm", kind="log_dropped", why=None)

    assert [line["event"] for line in log.lines] == ["decision", "alarm", "alarm", "alarm"]
    assert heard == [
        RaisedAlarm("stalled", "stood still", 7.0),
        RaisedAlarm("visit_log_cleared", "", 7.0),
        RaisedAlarm("log_dropped", "", 7.0),
    ]


def test_the_journal_has_it_first() -> None:
    """Whatever happens on the way out: the line was written before."""
    log = FakeEventLog()
    seen: list[int] = []
    AlarmLog(log, lambda _heard: seen.append(len(log.lines)), FakeClock()).emit("alarm", kind="x")

    assert seen == [1]
