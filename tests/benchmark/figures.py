"""How much is measured, what was measured, and what the same takes without doorctl."""

from __future__ import annotations

import hmac
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory

from doorctl.demo.door import Plug

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run.

    Args:
        sizes: patrons in the registers that are compared, smallest first.
        attempts: grants timed inside one process, for each size.
        rested: the same, each after a rest.
        long_rests: the same, each after a long rest, and as many floors.
        long_rest_s: how long that is.
        rounds: grants timed at each whole door.
        lanes: whole doors for each size; they take turns.
        starts: starts timed.
        replugs: times that a reader is pulled and put back.
        idle_s: how long an idle door of each kind is looked at.
        swipes: grants between the two looks at the memory.
        rows: identifiers in one push.
        changed: rows of a document of changes.
        grown: identifiers of the large register that a few changes go into.
        received: identifiers in a push whose memory is looked at.
        pairs: times that a piece of work and its floor are timed, one after the other.
        busy_rounds: grants timed at each door while its machine is busy.
        feed: patrons in the feed that is loaded meanwhile.
        visits_per_day: rows of the door log for each of 30 days, and for one that has expired.
        visits_per_month: rows of the door log behind the pages that are timed.
        page_repeats: times that each page is asked for.
        regular: patrons at a small branch and at a large one, whose regular work is compared.
        exported: patrons in a small export and in a large one, of senders that are compared.
        sourced: patrons in an export that is read by a map.
    """

    sizes: tuple[int, ...] = (1_000, 100_000)
    attempts: int = 2_000
    rested: int = 400
    long_rests: int = 3
    long_rest_s: float = 60.0
    rounds: int = 100
    lanes: int = 2
    starts: int = 5
    replugs: int = 20
    idle_s: int = 60
    swipes: int = 200
    rows: int = 100_000
    changed: int = 1_000
    grown: int = MILLION
    received: int = 100_000
    pairs: int = 3
    busy_rounds: int = 100
    feed: int = 20_000
    visits_per_day: int = 300
    visits_per_month: int = 15_000
    page_repeats: int = 40
    regular: tuple[int, int] = (10_000, 200_000)
    exported: tuple[int, int] = (2_000, 20_000)
    sourced: int = 20_000


FULL = Plan()
QUICK = Plan(
    attempts=400,
    rested=60,
    long_rest_s=1.0,
    rounds=30,
    starts=3,
    replugs=5,
    idle_s=5,
    swipes=50,
    rows=30_000,
    grown=100_000,
    busy_rounds=15,
    feed=5_000,
    page_repeats=8,
    regular=(1_000, 20_000),
    exported=(1_000, 5_000),
    sourced=5_000,
)


NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    Args:
        part: what is looked at.
        what: which number of it.
        value: the number, in `unit`.
        unit: ``ms``, ``s``, ``MB``, ``%``, ``x`` for a ratio, or nothing for a count.
        n: measurements behind it.
        floor: the same without doorctl, measured in the same run; None where there is none.
        budget: the most that the design allows; None where it says nothing.
    """

    part: str
    what: str
    value: float
    unit: str
    n: int
    floor: float | None = None
    budget: float | None = None

    @property
    def of_floor(self) -> float | None:
        """How many times the floor it is."""
        return self.value / self.floor if self.floor else None

    @property
    def of_budget(self) -> float | None:
        """Which share of the budget it is; above 1 is too much."""
        return None if self.budget is None else self.value / self.budget


@dataclass(frozen=True, slots=True)
class Spread:
    """Many measurements of one duration, in milliseconds."""

    p50: float
    p99: float
    longest: float
    n: int

    @classmethod
    def of_ns(cls, durations_ns: Sequence[int]) -> Spread:
        """Sum up durations in nanoseconds, at least one."""
        ordered = sorted(durations_ns)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        p50 = statistics.median(ordered)
        return cls(p50 / NS_PER_MS, p99 / NS_PER_MS, ordered[-1] / NS_PER_MS, len(ordered))

    def figures(
        self,
        part: str,
        floor: Spread | None = None,
        *,
        p50: float | None = None,
        p99: float | None = None,
    ) -> Iterator[Figure]:
        """Yield its three rows.

        `floor`: the same of the floor; `p50`: the budget of the median, in ms; `p99`: the budget of
        the 99th percentile, in ms.
        """
        below = floor or Spread(0, 0, 0, 0)
        yield Figure(part, "p50", self.p50, "ms", self.n, below.p50 or None, p50)
        yield Figure(part, "p99", self.p99, "ms", self.n, below.p99 or None, p99)
        yield Figure(part, "max", self.longest, "ms", self.n, below.longest or None)


HEADS = ("", "measured", "floor", "x floor", "budget", "n", "")
WIDTHS = (56, 12, 12, 9, 10, 6, 6)


def as_table(machine: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """Return the machine, then one row a figure under the heading of its part."""
    head = [f"{name:14} {value}" for name, value in machine.items()]
    return "\n".join([*head, "", _line(HEADS), *_rows(figures)])


def _rows(figures: Sequence[Figure]) -> Iterator[str]:
    part = ""
    for figure in figures:
        if figure.part != part:
            part = figure.part
            yield f"\n{part}"
        yield _line(_cells(figure))


def _cells(figure: Figure) -> tuple[str, ...]:
    of_floor, of_budget = figure.of_floor, figure.of_budget
    verdict = "" if of_budget is None else "ok" if of_budget <= 1 else "OVER"
    return (
        f"  {figure.what}",
        _shown(figure.value, figure.unit),
        _shown(figure.floor, figure.unit),
        "" if of_floor is None else f"{of_floor:.2f}",
        _shown(figure.budget, figure.unit),
        f"{figure.n}",
        verdict,
    )


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    number = f"{value:.0f}" if not unit else f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{number} {unit}".rstrip()


def _line(cells: Sequence[str]) -> str:
    first, *others = cells
    width, *widths = WIDTHS
    right = (f"{cell:>{wide}}" for cell, wide in zip(others, widths, strict=True))
    return f"{first:{width}}{''.join(right)}".rstrip()


CHECKOUT = Path(__file__).parent.parent.parent


def described() -> dict[str, str]:
    """Return the machine, the commit and the versions, as texts."""
    load_1_min, *_ = os.getloadavg()
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at start": f"{load_1_min:.2f}",
        "commit": _commit(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")


def _commit() -> str:
    # A wheel or a tarball has no history.
    commit = _git("rev-parse", "--short", "HEAD")
    changed = " and changes" if commit and _git("status", "--porcelain") else ""
    return f"{commit or 'unknown'}{changed}"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", CHECKOUT, *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


PACKAGES = "argon2.low_level, click, gpiozero.pins.mock, msgspec, orjson, serial"
"""What the door process imports that is not ours."""


class Echo:
    """A process that does nothing but read a pseudo-terminal; see :mod:`tests.benchmark.echo`.

    `directory`: for the pseudo-terminal's name.
    """

    def __init__(self, directory: Path) -> None:
        self._plug = Plug(directory / "echo")

    def __enter__(self) -> Self:
        self._plug.put_in()
        script = Path(__file__).with_name("echo.py")
        # -P: the neighbours of the script must not stand in for packages of the same name.
        command = [sys.executable, "-P", str(script), str(self._plug.name)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._answer()
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._plug.pull()

    def time_ns(self) -> int:
        """Return how long one byte took to be read on the other side."""
        before = time.monotonic_ns()
        self._plug.send(b"0")
        return int(self._answer()) - before

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def least_ns() -> Iterator[Callable[[], int]]:
    """Yield a function that times the least that opens a door: an HMAC, a compare, a mock pin."""
    with closing(MockFactory()) as factory, OutputDevice(17, pin_factory=factory) as output:
        yield partial(_least_ns, output)


def _least_ns(output: OutputDevice) -> int:
    before = time.perf_counter_ns()
    if hmac.compare_digest(hmac.digest(bytes(32), b"pin4711", "sha256"), bytes(32)):
        raise AssertionError
    output.on()
    taken = time.perf_counter_ns() - before
    output.off()
    return taken


def interpreter_s(statement: str) -> float:
    """Return how many seconds a fresh interpreter needs for one statement, start and end."""
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.monotonic() - before
