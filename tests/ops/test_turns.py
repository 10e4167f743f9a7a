"""Turns on a thread of their own, on the real thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from doorctl.ops.process import Turns, regular
from tests.fakes.event_log import FakeEventLog, Field

LONG_S = 30.0
"""Only a failing test waits so long."""


@contextmanager
def started(turns: Turns) -> Iterator[Turns]:
    """Go the rounds for the length of a test."""
    turns.start()
    try:
        yield turns
    finally:
        assert turns.stop(LONG_S)


class Failures:
    """A log that can be waited for."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[object] = queue.SimpleQueue()

    def emit(self, event: str, **fields: Field) -> None:
        """Keep one line."""
        self.told.put((event, fields["kind"], fields["why"]))


@pytest.fixture
def done() -> queue.SimpleQueue[str]:
    """No turn yet."""
    return queue.SimpleQueue()


def noted(done: queue.SimpleQueue[str]) -> Callable[[], None]:
    """Return a turn that tells on which thread it is."""
    return lambda: done.put(threading.current_thread().name)


def test_the_first_turn_is_at_the_start(done: queue.SimpleQueue[str]) -> None:
    """However long the pauses are, and on the thread's own name."""
    with started(regular("hours", noted(done), 3600.0, FakeEventLog())):
        assert done.get(timeout=LONG_S) == "hours"


def test_one_turn_follows_another(done: queue.SimpleQueue[str]) -> None:
    """After each pause there is another."""
    with started(regular("hours", noted(done), 0.01, FakeEventLog())):
        for _ in range(3):
            done.get(timeout=LONG_S)


def test_a_turn_that_fails_is_told_and_not_the_last() -> None:
    """A mistake of ours ends one turn; the next comes after a longer pause."""
    failures = Failures()

    def turn() -> None:
        raise LookupError("a mistake")

    with started(regular("hours", turn, 3600.0, failures, after_failure_s=0.01)):
        for _ in range(3):
            line = failures.told.get(timeout=LONG_S)
            assert line == ("alarm", "rounds_failing", "hours: LookupError")


def test_after_the_stop_there_is_no_turn(done: queue.SimpleQueue[str]) -> None:
    """Stopping ends a pause at once, and again does nothing."""
    turns = regular("hours", noted(done), 3600.0, FakeEventLog())
    with started(turns):
        done.get(timeout=LONG_S)

    assert turns.stop(0.0)
    assert done.empty()


def test_a_turn_that_hangs_keeps_nobody_from_ending() -> None:
    """Whoever stops waits for so long; what breaks afterwards is nobody's fault."""
    failures = Failures()
    begun, over = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        over.wait(LONG_S)
        raise OSError("the database is closed")

    with started(regular("hours", turn, 0.01, failures)) as turns:
        assert begun.wait(LONG_S)
        assert not turns.stop(0.01)
        over.set()

    assert failures.told.empty()


def test_a_wake_never_waits_and_brings_a_turn_where_nothing_is_left() -> None:
    """While a mail server lets one wait, others are heard; a thousand wakes are one turn."""
    gate, done = threading.Event(), queue.SimpleQueue[bool]()

    def turn() -> bool:
        done.put(gate.wait(LONG_S))
        return False

    with started(Turns("alarms", turn, 0.01, print)) as turns:
        for _ in range(1000):
            turns.wake()
        gate.set()
        for _ in range(2):
            assert done.get(timeout=LONG_S)
        with pytest.raises(queue.Empty):
            done.get(timeout=0.2)
        turns.wake()
        assert done.get(timeout=LONG_S)


def test_what_was_never_started_can_be_stopped(done: queue.SimpleQueue[str]) -> None:
    """An error in between leaves nothing that hangs."""
    assert regular("hours", noted(done), 3600.0, FakeEventLog()).stop()
    assert done.empty()
