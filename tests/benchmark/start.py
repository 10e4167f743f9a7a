"""How soon the door decides after its start, and how much of the machine it then holds."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from doorctl.demo.door import Stage
from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import ITERATIONS, MEMORY_KIB
from tests.benchmark.figures import Figure
from tests.benchmark.floor import PACKAGES, interpreter_s
from tests.benchmark.lanes import Lane, staged
from tests.benchmark.plan import Plan
from tests.benchmark.register import Register, fill

START_S = 0.6
RSS_MB = 45.0
"""Budgets of the design."""

KIB_PER_MB = 1024
PART = "door process, {:,} patrons, sealed at the default cost"


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Start doors, then look at one of them before and after people came."""
    size = min(plan.sizes[-1], 100_000)
    part = PART.format(size)
    register = fill(work / "start", size, (MEMORY_KIB, ITERATIONS))
    yield from _starts(part, register, plan.starts)
    yield from _held(part, register, plan.swipes)


def _starts(part: str, register: Register, count: int) -> Iterator[Figure]:
    ready, bare, packages = [], [], []
    for _ in range(count):
        bare.append(interpreter_s("pass"))
        packages.append(interpreter_s(f"import {PACKAGES}"))
        with staged(register) as stage:
            ready.append(_started_s(stage))
            stage.stop()
    start_s = statistics.median(ready)
    for floor, times in (("python -c pass", bare), ("imports of its packages", packages)):
        what = f"start to `ready`, median; floor: {floor}"
        yield Figure(part, what, start_s, "s", count, statistics.median(times), START_S)


def _started_s(stage: Stage) -> float:
    stage.reader.put_in()
    stage.keypad.put_in()
    before = time.monotonic()
    stage.start_door()
    return time.monotonic() - before


def _held(part: str, register: Register, swipes: int) -> Iterator[Figure]:
    # The starts before left no attempt in the door log.
    with (
        staged(register) as stage,
        closing(VisitHistory(register.directory / "visits.db")) as history,
    ):
        stage.start()
        yield Figure(
            part, "RSS at `ready`", resident_mb(stage.pid, "VmRSS"), "MB", 1, budget=RSS_MB
        )
        lane = Lane(stage, history)
        for _ in range(swipes):
            lane.approach()
            lane.enter()
        after = f"after {swipes} swipes"
        yield Figure(part, f"RSS {after}", resident_mb(stage.pid, "VmRSS"), "MB", 1, budget=RSS_MB)
        yield Figure(part, f"RSS at its highest {after}", resident_mb(stage.pid, "VmHWM"), "MB", 1)
        yield Figure(part, f"threads {after}", _status(stage.pid, "Threads"), "", 1)
        files = sum(1 for _ in Path(f"/proc/{stage.pid}/fd").iterdir())
        yield Figure(part, f"open files {after}", files, "", 1)
        stage.stop()


def resident_mb(pid: int, name: str) -> float:
    """Return how much memory a process has, in MiB: ``VmRSS`` now, ``VmHWM`` at its highest."""
    return _status(pid, name) / KIB_PER_MB


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])
