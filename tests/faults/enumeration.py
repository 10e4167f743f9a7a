"""Strike a scenario at each call that changes its directory, and judge what is left."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.faults.tracing import Fault, Point, Ran, points, run, spread

# What a scenario has to say of itself to be struck at each of its writes.


class Scenario(Protocol):
    """A command that changes files, and what may stand in them if it is struck."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def most(self) -> int | None:
        """Points, evenly spread, that even a full run has; None for all."""

    @property
    def files(self) -> Sequence[str]:
        """Below the directory, those of which calls are struck; none for all.

        For real commands: they can still import, and say what they have to say. They may have
        threads then.
        """

    def prepare(self, work: Path) -> None:
        """Make what all runs share, once, in an empty directory."""

    def lay_out(self, directory: Path) -> None:
        """Make the state before a run in a directory that does not exist yet."""

    def command(self, directory: Path) -> Sequence[str]:
        """Return what is run on it: it makes the same calls each time."""

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Return what is wrong with what a run left behind; nothing if all is well.

        Args:
            directory: as the process left it; may be used up.
            ran: what it said and how it ended.
        """


TRIES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is run.

    Args:
        most: points of one scenario, evenly spread; None for as many as it wants itself.
        jobs: runs at the same time.
        about: only calls to this file are struck; None for all.
    """

    most: int | None = None
    jobs: int = 1
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Struck:
    """How one run came out.

    Args:
        point: where and by what it was to be struck.
        took: it was struck there and nowhere before; of a scenario with `files`, anywhere at all.
        violations: what is wrong with what it left.
    """

    point: Point
    took: bool
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """All runs of a scenario.

    Args:
        name: the scenario's.
        calls: that change its directory, by name and file.
        possible: points that there are.
        struck: the runs.
        seconds: that they took.
    """

    name: str
    calls: Counter[tuple[str, str]]
    possible: int
    struck: tuple[Struck, ...]
    seconds: float

    @property
    def kills(self) -> int:
        """Runs that were killed where they were to be."""
        return sum(each.took and each.point.fault is Fault.KILLED for each in self.struck)

    @property
    def errors(self) -> int:
        """Runs whose disk failed where it was to."""
        return sum(each.took and each.point.fault is not Fault.KILLED for each in self.struck)

    @property
    def missed(self) -> int:
        """Runs that made other calls than the first one, and so were struck nowhere."""
        return sum(not each.took for each in self.struck)

    @property
    def violations(self) -> list[str]:
        """What went wrong and where."""
        return [f"{each.point}: {what}" for each in self.struck for what in each.violations]


Strike = Callable[[Scenario, Plan], Found]
"""Strikes a scenario as a plan says."""


def enumerated(scenario: Scenario, plan: Plan, on_run: Callable[[int, int], None]) -> Found:
    """Run a scenario once to count its calls, then once for each point.

    `scenario`: what is run; `on_run`: told after each run how many there will be, and how many more
    are done.

    Raises:
        RuntimeError: the scenario is not all right when nothing strikes it.
    """
    before = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="doorctl-faults-") as name:
        work = Path(name)
        scenario.prepare(work)
        unharmed = _unharmed(scenario, work)
        possible = [
            point
            for point in points(unharmed.traced.calls)
            if plan.about in (None, point.call.file)
        ]
        chosen = spread(possible, plan.most or scenario.most)

        def strike(point: Point) -> Struck:
            struck = _struck(scenario, work, point)
            on_run(len(chosen), 1)
            return struck

        with ThreadPoolExecutor(plan.jobs) as workers:
            struck = tuple(workers.map(strike, chosen))
    calls = Counter((call.name, call.file or "") for call in unharmed.traced.changes)
    return Found(scenario.name, calls, len(possible), struck, time.monotonic() - before)


def _unharmed(scenario: Scenario, work: Path) -> Ran:
    ran = _counted(scenario, work)
    # Of a scenario with files any call may be struck.
    for _ in range(0 if scenario.files else TRIES):
        again = _counted(scenario, work)
        if again.traced.calls == ran.traced.calls:
            break
        ran = again
    return ran


def _counted(scenario: Scenario, work: Path) -> Ran:
    with _laid_out(scenario, work) as directory:
        ran = run(scenario.command(directory), directory, files=scenario.files)
        wrong = scenario.judge(directory, ran)
    if wrong or ran.code or not ran.traced.changes:
        raise RuntimeError(f"{scenario.name}: fails unharmed: {wrong} {ran.complained}")
    return ran


def _struck(scenario: Scenario, work: Path, point: Point) -> Struck:
    # Threads take turns: what another one did at the same time can come before it, now and then.
    tries = (_tried(scenario, work, point) for _ in range(TRIES))
    missed = Struck(point, took=False, violations=() if scenario.files else ("not struck there",))
    return next((one for one in tries if one.took or one.violations), missed)


def _tried(scenario: Scenario, work: Path, point: Point) -> Struck:
    with _laid_out(scenario, work) as directory:
        ran = run(scenario.command(directory), directory, point.options, scenario.files)
        wrong = scenario.judge(directory, ran)
    if ran.code is None:
        wrong.append("hangs")
    took = bool(ran.traced.struck) if scenario.files else ran.traced.struck[:1] == (point.call,)
    return Struck(point, took, tuple(wrong))


@contextmanager
def _laid_out(scenario: Scenario, work: Path) -> Iterator[Path]:
    # Always as long a name, and the same files in it: the calls have to be the same ones.
    place = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
        scenario.lay_out(place / "state")
        yield place / "state"
    finally:
        shutil.rmtree(place)
