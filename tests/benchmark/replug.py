"""From the moment that a reader is plugged in again until its line is connected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from doorctl.demo.door import Stage
from tests.benchmark.figures import Figure
from tests.benchmark.lanes import staged
from tests.benchmark.plan import Plan
from tests.benchmark.register import KNOWN, fill

BACK_S = 1.0
"""The design's budget from the device node to the next swipe that works."""

PART = "reader unplugged and back"


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Pull the reader of a whole door and put it back, time and again."""
    with staged(fill(work / "replug", KNOWN)) as stage:
        stage.start()
        longest_s = max(_back_s(stage) for _ in range(plan.replugs))
        stage.stop()
    yield Figure(PART, "node -> connected, max", longest_s, "s", plan.replugs, budget=BACK_S)


def _back_s(stage: Stage) -> float:
    stage.reader.pull()
    stage.wait_for("reader", state="lost")
    before = time.monotonic()
    stage.reader.put_in()
    stage.wait_for("reader", state="connected")
    return time.monotonic() - before
