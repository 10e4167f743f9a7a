"""Threads that do jobs in order, and threads that repeat one: ends, faults, and what hangs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from doorctl.core.errors import NotAnsweringError
from doorctl.ops.threads import RepeatingJob, WorkerThread, regular
from tests.fakes.event_log import FakeEventLog, Field
from tests.fakes.waiting import LIMIT_S


@dataclass
class Workshop:
    """A worker and what came out of it."""

    posted: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    failed: queue.SimpleQueue[BaseException] = field(default_factory=queue.SimpleQueue)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.worker: WorkerThread[str] = WorkerThread(self.posted.put, self.failed.put)

    def hold(self) -> None:
        """Have the worker wait at the gate."""
        self.worker.submit(self._wait)

    def _wait(self) -> None:
        self.gate.wait(LIMIT_S)


class JobBrokeError(Exception):
    """What a job raises."""


def broken_job() -> str:
    """Raise."""
    raise JobBrokeError


@pytest.fixture
def shop() -> Iterator[Workshop]:
    """A workshop whose worker has begun."""
    shop = Workshop()
    shop.worker.start()
    yield shop
    shop.gate.set()
    assert shop.worker.stop(LIMIT_S)


def test_jobs_are_done_in_order_and_what_they_return_is_posted(shop: Workshop) -> None:
    """One after the other; what returns nothing posts nothing."""
    for number in range(100):
        shop.worker.submit(lambda number=number: None if number % 2 else str(number))  # type: ignore[misc]

    posted = [shop.posted.get(timeout=LIMIT_S) for _ in range(50)]
    assert posted == [str(number) for number in range(0, 100, 2)]


def test_all_jobs_run_on_one_thread_that_is_not_the_callers(shop: Workshop) -> None:
    """A database connection can belong to it."""
    threads = {shop.worker.call(threading.get_ident, timeout_s=LIMIT_S) for _ in range(10)}

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_call_waits_for_its_turn_and_returns_the_result(shop: Workshop) -> None:
    """What was submitted before is done before; the result is not posted."""
    done: list[int] = []
    shop.worker.submit(lambda: done.append(1))

    assert shop.worker.call(lambda: [*done, 2], timeout_s=LIMIT_S) == [1, 2]
    assert shop.posted.empty()


@pytest.mark.parametrize("raised", [JobBrokeError, TimeoutError, SystemExit])
def test_a_call_raises_what_its_job_raised(shop: Workshop, raised: type[BaseException]) -> None:
    """Where it was asked for, whatever it is; the worker goes on."""

    def job() -> None:
        raise raised

    with pytest.raises(raised):
        shop.worker.call(job, timeout_s=LIMIT_S)
    assert shop.worker.call(lambda: "well", timeout_s=LIMIT_S) == "well"
    assert shop.failed.empty()


def test_a_call_that_takes_too_long_is_told_what_to_do(shop: Workshop) -> None:
    """It does not wait for ever; the job is done later all the same."""
    shop.hold()
    done = threading.Event()
    with pytest.raises(NotAnsweringError, match="try again"):
        shop.worker.call(done.set, timeout_s=0.01)
    assert not done.is_set()
    shop.gate.set()

    assert done.wait(LIMIT_S)


def test_the_backlog_is_what_waits(shop: Workshop) -> None:
    """Not the job that is being done."""
    shop.hold()
    for _ in range(3):
        shop.worker.submit(lambda: None)
    assert shop.worker.backlog() in {3, 4}
    shop.gate.set()
    shop.worker.call(lambda: None, timeout_s=LIMIT_S)

    assert shop.worker.backlog() == 0


def test_an_exception_of_a_job_is_handed_over_and_ends_the_thread() -> None:
    """The very object, so that its traceback is not lost; nothing is done after it."""
    shop = Workshop()
    shop.worker.submit(broken_job)
    shop.worker.submit(lambda: "after")
    shop.worker.start()

    assert isinstance(shop.failed.get(timeout=LIMIT_S), JobBrokeError)
    assert shop.worker.stop(LIMIT_S)
    assert shop.posted.empty()


def test_stop_finishes_what_is_queued() -> None:
    """An outcome that is not on disk yet is not lost by a SIGTERM."""
    shop = Workshop()
    shop.hold()
    for number in range(3):
        shop.worker.submit(lambda number=number: str(number))  # type: ignore[misc]
    shop.worker.start()
    shop.gate.set()

    assert shop.worker.stop(LIMIT_S)
    assert [shop.posted.get_nowait() for _ in range(3)] == ["0", "1", "2"]


def test_stop_does_not_wait_for_ever() -> None:
    """It tells that the thread is still busy."""
    shop = Workshop()
    shop.hold()
    shop.worker.start()

    assert not shop.worker.stop(0.01)
    shop.gate.set()
    assert shop.worker.stop(LIMIT_S)


@contextmanager
def started(turns: RepeatingJob) -> Iterator[RepeatingJob]:
    """Go the rounds for the length of a test."""
    turns.start()
    try:
        yield turns
    finally:
        assert turns.stop(LIMIT_S)


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
        assert done.get(timeout=LIMIT_S) == "hours"


def test_one_turn_follows_another(done: queue.SimpleQueue[str]) -> None:
    """After each pause there is another."""
    with started(regular("hours", noted(done), 0.01, FakeEventLog())):
        for _ in range(3):
            done.get(timeout=LIMIT_S)


def test_a_turn_that_fails_is_told_and_not_the_last() -> None:
    """A mistake of ours ends one turn; the next comes after a longer pause."""
    failures = Failures()

    def turn() -> None:
        raise LookupError("a mistake")

    with started(regular("hours", turn, 3600.0, failures, after_failure_s=0.01)):
        for _ in range(3):
            line = failures.told.get(timeout=LIMIT_S)
            assert line == ("alarm", "rounds_failing", "hours: LookupError")


def test_after_the_stop_there_is_no_turn(done: queue.SimpleQueue[str]) -> None:
    """Stopping ends a pause at once, and again does nothing."""
    turns = regular("hours", noted(done), 3600.0, FakeEventLog())
    with started(turns):
        done.get(timeout=LIMIT_S)

    assert turns.stop(0.0)
    assert done.empty()


def test_a_turn_that_hangs_keeps_nobody_from_ending() -> None:
    """Whoever stops waits for so long; what breaks afterwards is nobody's fault."""
    failures = Failures()
    begun, over = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        over.wait(LIMIT_S)
        raise OSError("the database is closed")

    with started(regular("hours", turn, 0.01, failures)) as turns:
        assert begun.wait(LIMIT_S)
        assert not turns.stop(0.01)
        over.set()

    assert failures.told.empty()


def test_a_wake_never_waits_and_brings_a_turn_where_nothing_is_left() -> None:
    """While a mail server lets one wait, others are heard; a thousand wakes are one turn."""
    gate, done = threading.Event(), queue.SimpleQueue[bool]()

    def turn() -> bool:
        done.put(gate.wait(LIMIT_S))
        return False

    with started(RepeatingJob("alarms", turn, 0.01, print)) as turns:
        for _ in range(1000):
            turns.wake()
        gate.set()
        for _ in range(2):
            assert done.get(timeout=LIMIT_S)
        with pytest.raises(queue.Empty):
            done.get(timeout=0.2)
        turns.wake()
        assert done.get(timeout=LIMIT_S)


def test_what_was_never_started_can_be_stopped(done: queue.SimpleQueue[str]) -> None:
    """An error in between leaves nothing that hangs."""
    assert regular("hours", noted(done), 3600.0, FakeEventLog()).stop()
    assert done.empty()
