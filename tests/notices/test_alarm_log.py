"""The log that hands alarms on, and the thread that carries them; real threads."""

from __future__ import annotations

import queue
import threading

from doorctl.core.alarms import RaisedAlarm
from doorctl.notices.sending import AlarmLog
from doorctl.ops.process import Turns
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog

LONG_S = 10.0
NEVER_S = 3600.0


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


class Work:
    """Something to be done, which tells the test each time."""

    def __init__(self, *, again: bool = False, broken: bool = False) -> None:
        self.done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.failed: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()
        self.again, self.broken, self.number = again, broken, 0

    def turn(self) -> bool:
        """Do it, once the gate is open."""
        self.gate.wait(LONG_S)
        self.number += 1
        self.done.put(self.number)
        if self.broken:
            raise ZeroDivisionError
        return self.again


def test_a_turn_comes_at_the_start_and_when_woken() -> None:
    """Without anything left there is no turn by itself."""
    turns = Work()
    thread = Turns("alarms", turns.turn, NEVER_S, turns.failed.put)
    thread.start()

    assert turns.done.get(timeout=LONG_S) == 1
    thread.wake()
    assert turns.done.get(timeout=LONG_S) == 2
    thread.stop(LONG_S)


def test_what_is_left_brings_another_turn() -> None:
    """As long as something waits, the next turn comes by itself."""
    turns = Work(again=True)
    thread = Turns("alarms", turns.turn, 0.001, turns.failed.put)
    thread.start()

    assert [turns.done.get(timeout=LONG_S) for _ in range(3)] == [1, 2, 3]
    thread.stop(LONG_S)


def test_waking_never_waits_for_a_turn() -> None:
    """While a mail server lets one wait, others can be woken and heard at once."""
    turns = Work()
    turns.gate.clear()
    thread = Turns("alarms", turns.turn, NEVER_S, turns.failed.put)
    thread.start()
    for _ in range(1000):
        thread.wake()
    turns.gate.set()

    assert [turns.done.get(timeout=LONG_S) for _ in range(2)] == [1, 2]
    thread.stop(LONG_S)


def test_a_mistake_ends_one_turn_only() -> None:
    """A bug is told, and the next turn comes all the same."""
    turns = Work(broken=True)
    thread = Turns("alarms", turns.turn, 0.001, turns.failed.put)
    thread.start()

    assert [turns.done.get(timeout=LONG_S) for _ in range(3)] == [1, 2, 3]
    assert isinstance(turns.failed.get(timeout=LONG_S), ZeroDivisionError)
    thread.stop(LONG_S)


def test_a_stop_does_not_wait_for_ever() -> None:
    """A turn under way may hang in a mail server; the process ends all the same."""
    turns = Work()
    turns.gate.clear()
    thread = Turns("alarms", turns.turn, NEVER_S, turns.failed.put)
    thread.start()
    thread.stop(0.01)
    turns.gate.set()

    assert turns.done.get(timeout=LONG_S) == 1


def test_what_was_never_started_can_be_stopped() -> None:
    """An error in between leaves nothing that hangs."""
    turns = Work()
    Turns("alarms", turns.turn, NEVER_S, turns.failed.put).stop()

    assert turns.done.empty()
