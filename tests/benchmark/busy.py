"""Last digit to relay while other processes load patrons and purge the door log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, cycle
from pathlib import Path
from types import TracebackType
from typing import Self

from doorctl.demo.door import Stage
from doorctl.demo.patrons import write_feed
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

Work = Callable[[], str]
"""Does something once; returns what went wrong, or nothing."""


class Background:
    """Work that is done over and over, one piece after another, on a thread of its own."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works
        self._stopping = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run)
        self.runs = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the last run end; a run that failed is a failure of the benchmark."""
        self._stopping.set()
        self._thread.join()
        if self._failure:
            raise RuntimeError(f"work in the background failed: {self._failure}")

    def _run(self) -> None:
        for work in cycle(self._works):
            self._failure = work()
            self.runs += 1
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
        loading = [_command(lane.stage, "patrons", "load", str(feed)) for lane in lanes]
        purging = [_command(lane.stage, "purge") for lane in lanes]
        with Background(loading) as loads, Background(purging) as purges:
            taken, floor = play(lanes, echo, plan.busy_rounds)
    part = f"last digit -> relay beside loads and purges, whole door, {size:,} patrons"
    spread = Spread.of_ns(list(chain.from_iterable(taken)))
    yield from spread.figures(part, Spread.of_ns(floor), p99=P99_MS)
    yield Figure(part, f"loads of {plan.feed:,} patrons meanwhile", loads.runs, "", loads.runs)
    yield Figure(part, "purges meanwhile", purges.runs, "", purges.runs)


def _command(stage: Stage, *words: str) -> Work:
    def run() -> str:
        done = stage.call(*words)
        return f"{done.returncode}: {done.stderr}" if done.returncode else ""

    return run
