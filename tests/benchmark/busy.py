"""Last digit to relay while other processes load patrons and purge the door log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, cycle
from pathlib import Path
from subprocess import CompletedProcess

from doorctl.demo.patrons import write_feed
from doorctl.demo.stage import Stage
from doorctl.ops.clock import utc_now
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.floor import Echo
from tests.benchmark.lanes import echo_directory, opened_all, play
from tests.benchmark.plan import Plan
from tests.benchmark.register import FEED_SEED, fill

P99_MS = 5.0
"""The design's budget for a busy machine."""

BUSY_SEAL = (8, 1)
"""The least that Argon2 does, so that loads write most of the time."""

LANES = 2

Work = Callable[[Stage], "CompletedProcess[str]"]


class Background:
    """A command that is run over and over, at one door after another, on a thread of its own.

    Args:
        stages: the doors.
        work: runs it to its end.
    """

    def __init__(self, stages: Sequence[Stage], work: Work) -> None:
        self._stages = stages
        self._work = work
        self._stopping = threading.Event()
        self._failure: CompletedProcess[str] | None = None
        self._thread = threading.Thread(target=self._run)
        self.runs = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let the last run end; a run that failed is a failure of the benchmark."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise RuntimeError(f"a command failed: {self._failure.stderr}")

    def _run(self) -> None:
        for stage in cycle(self._stages):
            done = self._work(stage)
            self.runs += 1
            if done.returncode:
                self._failure = done
            if self._failure or self._stopping.is_set():
                return


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at two doors of the largest of the plan's usual sizes, all cores being busy."""
    size = min(plan.sizes[-1], 100_000)
    first = fill(work / "busy-0", size, BUSY_SEAL)
    registers = [first, *(first.copied(work / f"busy-{n}") for n in range(1, LANES))]
    feed = work / "feed.ndjson"
    write_feed(feed, plan.feed, FEED_SEED, utc_now().date())
    with opened_all(registers) as lanes, Echo(echo_directory(work)) as echo:
        stages = [lane.stage for lane in lanes]
        with _background(stages, feed) as (loads, purges):
            taken, floor = play(lanes, echo, plan.busy_rounds)
    part = f"last digit -> relay beside loads and purges, whole door, {size:,} patrons"
    spread = Spread.of_ns(list(chain.from_iterable(taken)))
    yield from spread.figures(part, Spread.of_ns(floor), p99=P99_MS)
    yield Figure(part, f"loads of {plan.feed:,} patrons meanwhile", loads.runs, "", loads.runs)
    yield Figure(part, "purges meanwhile", purges.runs, "", purges.runs)


@contextmanager
def _background(stages: Sequence[Stage], feed: Path) -> Iterator[tuple[Background, Background]]:
    loads = Background(stages, lambda stage: stage.call("patrons", "load", str(feed)))
    purges = Background(stages, lambda stage: stage.call("purge"))
    loads.start()
    purges.start()
    try:
        yield loads, purges
    finally:
        loads.stop()
        purges.stop()
