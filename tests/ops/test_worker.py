"""One thread, jobs in order; real threads and real time-outs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from doorctl.core.errors import NotAnsweringError
from doorctl.ops.process import WorkerThread

LONG_S = 5.0


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
        self.gate.wait(LONG_S)


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
    assert shop.worker.stop(LONG_S)


def test_jobs_are_done_in_order_and_what_they_return_is_posted(shop: Workshop) -> None:
    """One after the other; what returns nothing posts nothing."""
    for number in range(100):
        shop.worker.submit(lambda number=number: None if number % 2 else str(number))  # type: ignore[misc]

    posted = [shop.posted.get(timeout=LONG_S) for _ in range(50)]
    assert posted == [str(number) for number in range(0, 100, 2)]


def test_all_jobs_run_on_one_thread_that_is_not_the_callers(shop: Workshop) -> None:
    """A database connection can belong to it."""
    threads = {shop.worker.call(threading.get_ident, timeout_s=LONG_S) for _ in range(10)}

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_call_waits_for_its_turn_and_returns_the_result(shop: Workshop) -> None:
    """What was submitted before is done before; the result is not posted."""
    done: list[int] = []
    shop.worker.submit(lambda: done.append(1))

    assert shop.worker.call(lambda: [*done, 2], timeout_s=LONG_S) == [1, 2]
    assert shop.posted.empty()


@pytest.mark.parametrize("raised", [JobBrokeError, TimeoutError, SystemExit])
def test_a_call_raises_what_its_job_raised(shop: Workshop, raised: type[BaseException]) -> None:
    """Where it was asked for, whatever it is; the worker goes on."""

    def job() -> None:
        raise raised

    with pytest.raises(raised):
        shop.worker.call(job, timeout_s=LONG_S)
    assert shop.worker.call(lambda: "well", timeout_s=LONG_S) == "well"
    assert shop.failed.empty()


def test_a_call_that_takes_too_long_is_told_what_to_do(shop: Workshop) -> None:
    """It does not wait for ever; the job is done later all the same."""
    shop.hold()
    done = threading.Event()
    with pytest.raises(NotAnsweringError, match="try again"):
        shop.worker.call(done.set, timeout_s=0.01)
    assert not done.is_set()
    shop.gate.set()

    assert done.wait(LONG_S)


def test_the_backlog_is_what_waits(shop: Workshop) -> None:
    """Not the job that is being done."""
    shop.hold()
    for _ in range(3):
        shop.worker.submit(lambda: None)
    assert shop.worker.backlog() in {3, 4}
    shop.gate.set()
    shop.worker.call(lambda: None, timeout_s=LONG_S)

    assert shop.worker.backlog() == 0


def test_an_exception_of_a_job_is_handed_over_and_ends_the_thread() -> None:
    """The very object, so that its traceback is not lost; nothing is done after it."""
    shop = Workshop()
    shop.worker.submit(broken_job)
    shop.worker.submit(lambda: "after")
    shop.worker.start()

    assert isinstance(shop.failed.get(timeout=LONG_S), JobBrokeError)
    assert shop.worker.stop(LONG_S)
    assert shop.posted.empty()


def test_stop_finishes_what_is_queued() -> None:
    """An outcome that is not on disk yet is not lost by a SIGTERM."""
    shop = Workshop()
    shop.hold()
    for number in range(3):
        shop.worker.submit(lambda number=number: str(number))  # type: ignore[misc]
    shop.worker.start()
    shop.gate.set()

    assert shop.worker.stop(LONG_S)
    assert [shop.posted.get_nowait() for _ in range(3)] == ["0", "1", "2"]


def test_stop_does_not_wait_for_ever() -> None:
    """It tells that the thread is still busy."""
    shop = Workshop()
    shop.hold()
    shop.worker.start()

    assert not shop.worker.stop(0.01)
    shop.gate.set()
    assert shop.worker.stop(LONG_S)
