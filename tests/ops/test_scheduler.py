"""The purge's schedule, on the real APScheduler."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.ops.scheduler import PurgeSchedule

LONG_S = 5.0
"""Only a failing test waits so long."""


@contextmanager
def started(schedule: PurgeSchedule) -> Iterator[PurgeSchedule]:
    """Run a schedule for the length of a test."""
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop()


def counted(runs: queue.SimpleQueue[str]) -> Callable[[], None]:
    """Return a job that tells of each run."""
    return lambda: runs.put("run")


@pytest.fixture
def runs() -> queue.SimpleQueue[str]:
    """No run yet."""
    return queue.SimpleQueue()


def test_it_runs_at_the_start(runs: queue.SimpleQueue[str]) -> None:
    """A box that is rebooted every night still purges."""
    with started(PurgeSchedule(6, counted(runs))):
        assert runs.get(timeout=LONG_S) == "run"


def test_it_runs_again_at_its_interval(runs: queue.SimpleQueue[str]) -> None:
    """One run an interval, here 0.1 s."""
    with started(PurgeSchedule(0.1 / 3600, counted(runs))):
        for _ in range(3):
            runs.get(timeout=LONG_S)


def test_a_nudge_runs_it_now(runs: queue.SimpleQueue[str]) -> None:
    """After the clock was set the next run does not wait for its six hours."""
    with started(PurgeSchedule(6, counted(runs))) as schedule:
        runs.get(timeout=LONG_S)
        schedule.nudge()

        assert runs.get(timeout=LONG_S) == "run"


def test_a_run_that_fails_is_told_and_not_the_last(runs: queue.SimpleQueue[str]) -> None:
    """An exception ends one run, reaches `failed`, and leaves the schedule alive."""
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def run() -> None:
        runs.put("run")
        raise OSError("the disk is full")

    with started(PurgeSchedule(6, run, failures.put)) as schedule:
        for _ in range(3):
            runs.get(timeout=LONG_S)
            assert str(failures.get(timeout=LONG_S)) == "the disk is full"
            schedule.nudge()


FAILING_RUN = """
import threading
from doorctl.ops.scheduler import PurgeSchedule

told = threading.Event()
schedule = PurgeSchedule(6, lambda: 1 / 0, lambda error: told.set())
schedule.start()
assert told.wait(5)
schedule.stop()
"""


def test_a_failing_run_prints_nothing() -> None:
    """APScheduler's own warnings and tracebacks do not get between the log lines."""
    ran = subprocess.run(
        [sys.executable, "-c", FAILING_RUN],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert (ran.stdout, ran.stderr) == ("", "")


def test_two_runs_never_overlap(runs: queue.SimpleQueue[str]) -> None:
    """However often it is nudged, the next run begins after the one before has ended."""
    busy = threading.Lock()
    overlaps: list[bool] = []
    proceed = threading.Event()

    def run() -> None:
        overlaps.append(not busy.acquire(blocking=False))
        runs.put("run")
        proceed.wait(LONG_S)
        busy.release()

    with started(PurgeSchedule(6, run)) as schedule:
        runs.get(timeout=LONG_S)
        for _ in range(5):
            schedule.nudge()
        proceed.set()

    assert overlaps[0] is False
    assert not any(overlaps)


def test_stop_ends_it_and_is_idempotent(runs: queue.SimpleQueue[str]) -> None:
    """No run begins after stop(); stop() and nudge() are then harmless."""
    schedule = PurgeSchedule(6, counted(runs))
    schedule.stop()
    schedule.start()
    runs.get(timeout=LONG_S)
    schedule.stop()
    schedule.stop()
    schedule.nudge()

    assert runs.empty()
    assert not any(thread.name.startswith("APScheduler") for thread in threading.enumerate())
