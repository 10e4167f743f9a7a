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
from time import monotonic

import pytest

from doorctl.doord.chores import PurgeSchedule
from tests.ops.dead_scheduler import end_scheduler

LONG_S = 5.0
"""Only a failing test waits so long."""

DECADES_S = 27 * 365 * 86_400.0

SOON_S = 0.3
"""By then the scheduler has seen to a nudge; were it later, a test would prove less, not fail."""


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
    with started(PurgeSchedule(6, counted(runs), monotonic)):
        assert runs.get(timeout=LONG_S) == "run"


def test_it_runs_again_at_its_interval(runs: queue.SimpleQueue[str]) -> None:
    """One run an interval, here 0.1 s."""
    with started(PurgeSchedule(0.1 / 3600, counted(runs), monotonic)):
        for _ in range(3):
            runs.get(timeout=LONG_S)


def test_a_nudge_runs_it_now(runs: queue.SimpleQueue[str]) -> None:
    """After the clock was set the next run does not wait for its six hours."""
    with started(PurgeSchedule(6, counted(runs), monotonic)) as schedule:
        runs.get(timeout=LONG_S)
        schedule.nudge()

        assert runs.get(timeout=LONG_S) == "run"


FAILING_RUN = """
import threading
from time import monotonic
from doorctl.doord.chores import PurgeSchedule

runs = threading.Semaphore(0)

def fail():
    runs.release()
    raise ZeroDivisionError

schedule = PurgeSchedule(6, fail, monotonic)
schedule.start()
for _ in range(2):
    assert runs.acquire(timeout=5)
    schedule.nudge()
schedule.stop()
"""


def test_a_failing_run_prints_nothing() -> None:
    """It is not the last one, and APScheduler's own warnings do not get between the log lines."""
    ran = subprocess.run(
        [sys.executable, "-c", FAILING_RUN],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_clock_that_leapt_by_decades_is_made_up_for_by_one_run(
    runs: queue.SimpleQueue[str],
) -> None:
    """The missed times of 27 years are not listed, which would hold the door's loop for minutes.

    Bug (the emulated Pi): when a clock of 1999 was set right, the door's loop waited for
    APScheduler's lock until the watchdog ended it, and the door was deaf for 26 s.
    """
    with started(PurgeSchedule(1 / 60, counted(runs), monotonic)) as schedule:
        runs.get(timeout=LONG_S)
        # As if due times of then had come by a clock that is now.
        schedule.nudge(in_s=-DECADES_S)

        assert runs.get(timeout=LONG_S) == "run"
    assert runs.empty()


def test_two_runs_never_overlap(runs: queue.SimpleQueue[str]) -> None:
    """A nudge while a run goes on is not lost: another begins after that one has ended."""
    busy = threading.Lock()
    overlaps: list[bool] = []
    proceed = threading.Event()

    def run() -> None:
        overlaps.append(not busy.acquire(blocking=False))
        runs.put("run")
        proceed.wait(LONG_S)
        busy.release()

    with started(PurgeSchedule(6, run, monotonic)) as schedule:
        runs.get(timeout=LONG_S)
        for _ in range(5):
            schedule.nudge()
        threading.Event().wait(SOON_S)
        proceed.set()
        assert runs.get(timeout=LONG_S)

    assert not any(overlaps)


OFTEN_S = 0.05
"""Between two pulses, so that a test need not wait for a minute."""

STUCK_S = 0.5


def pulsing(run: Callable[[], None]) -> PurgeSchedule:
    """Return a schedule that shows often that it lives."""
    return PurgeSchedule(6, run, monotonic, pulse_every_s=OFTEN_S)


def overdue(schedule: PurgeSchedule) -> bool:
    """Wait until something is overdue that a scheduler at work would have begun; or give up."""
    end_s = monotonic() + LONG_S
    while schedule.overdue_s() < STUCK_S and monotonic() < end_s:
        threading.Event().wait(OFTEN_S)
    return schedule.overdue_s() >= STUCK_S


def test_a_nudge_begins_all_that_is_overdue(runs: queue.SimpleQueue[str]) -> None:
    """After the clock was set back nothing else waits for it, for then it would seem stuck."""
    hours = 0.0
    schedule = PurgeSchedule(6, counted(runs), lambda: hours * 3600, pulse_every_s=3600)
    with started(schedule):
        runs.get(timeout=LONG_S)
        schedule.nudge()
        # What began with the first run has begun when there is another.
        runs.get(timeout=LONG_S)
        hours = 10.0
        schedule.nudge()

        end_s = monotonic() + LONG_S
        while schedule.overdue_s() and monotonic() < end_s:
            threading.Event().wait(OFTEN_S)
        assert schedule.overdue_s() == 0


@pytest.mark.filterwarnings("ignore:Exception in thread APScheduler")
def test_a_scheduler_that_died_is_overdue(runs: queue.SimpleQueue[str]) -> None:
    """What it had to begin is not begun any more, and that grows."""
    with started(pulsing(counted(runs))) as schedule:
        runs.get(timeout=LONG_S)
        end_scheduler(schedule)

        assert overdue(schedule)


def test_a_run_that_hangs_is_overdue(runs: queue.SimpleQueue[str]) -> None:
    """The thread that runs is as dead as if there were none."""
    proceed = threading.Event()

    def hang() -> None:
        runs.put("run")
        proceed.wait(2 * LONG_S)

    with started(pulsing(hang)) as schedule:
        runs.get(timeout=LONG_S)

        assert overdue(schedule)
        proceed.set()


def test_a_run_that_is_not_begun_is_overdue() -> None:
    """The interval counts by the monotonic clock, whatever the wall clock says."""
    now_s = 0.0
    schedule = PurgeSchedule(6, lambda: None, lambda: now_s, pulse_every_s=24 * 3600)
    now_s = 6 * 3600.0 + 7.0

    assert schedule.overdue_s() == 7.0


def test_stop_ends_it_and_is_idempotent(runs: queue.SimpleQueue[str]) -> None:
    """No run begins after stop(); stop() and nudge() are then harmless."""
    schedule = PurgeSchedule(6, counted(runs), monotonic)
    schedule.stop()
    schedule.start()
    runs.get(timeout=LONG_S)
    schedule.stop()
    schedule.stop()
    schedule.nudge()

    assert runs.empty()
    assert not any(thread.name.startswith("APScheduler") for thread in threading.enumerate())


def test_a_nudge_for_later_does_not_stop_the_pulse() -> None:
    """A run that is put off for an hour is not taken for a scheduler that is dead."""
    with started(pulsing(lambda: None)) as schedule:
        schedule.nudge(in_s=3600)
        threading.Event().wait(STUCK_S)

        assert schedule.overdue_s() < STUCK_S


def test_a_nudge_for_later_puts_off_none_for_now(runs: queue.SimpleQueue[str]) -> None:
    """What ends while the clock is set asks for its next turn, and the clock's own comes first.

    Bug (CI): a nudge of the purge while another went on, or just before that asked for its next
    turn, was lost.
    """
    proceed = threading.Event()

    def run() -> None:
        runs.put("run")
        proceed.wait(LONG_S)

    with started(PurgeSchedule(6, run, monotonic)) as schedule:
        runs.get(timeout=LONG_S)
        schedule.nudge()
        schedule.nudge(in_s=3600)
        proceed.set()

        assert runs.get(timeout=LONG_S)
