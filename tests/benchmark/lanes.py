"""Whole doors at which people come and go, as fast as the shortest release allows."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import chain, cycle
from pathlib import Path
from typing import Self

from doorctl.config.shipped import shipped
from doorctl.core.errors import NotAnsweringError
from doorctl.demo.door import LIMIT_S, Stage
from doorctl.demo.patrons import write_feed
from doorctl.ops.clock import utc_now
from doorctl.store.door_log import VisitHistory
from doorctl.store.sealer import ITERATIONS, MEMORY_KIB
from tests.benchmark.decision import P50_MS, P99_MS, growth
from tests.benchmark.figures import PACKAGES, Echo, Figure, Plan, Spread, interpreter_s
from tests.benchmark.register import FEED_SEED, KNOWN, Register, cards, fill

RELEASE_S = 0.5
"""The shortest that the configuration allows; the next grant is timed once it is over."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOOK_S = 0.005
LAST_LINES = 10
"""How many of the door's last lines are quoted with a swipe that failed."""


class Lane:
    """One running door and its patrons.

    `stage`: a started door.
    """

    def __init__(self, stage: Stage, history: VisitHistory) -> None:
        self.stage = stage
        self._history = history
        self._cards = cards()
        self._attempts = self._last_attempt()
        self._last_digit = b""
        self._locked = True

    def approach(self) -> None:
        """Swipe the next card; once the attempt is on record type all digits but the last."""
        card = next(self._cards)
        self.stage.reader.send(card.swipe)
        self._attempts += 1
        with self._quoted():
            self._await_record()
        self.stage.keypad.send(card.pin[:-1].encode())
        self._last_digit = card.pin[-1:].encode()

    def enter_ns(self) -> int:
        """Type the last digit; return how long it takes until the relay is on."""
        before = time.monotonic_ns()
        self.stage.keypad.send(self._last_digit)
        with self._quoted():
            line = self.stage.wait_for("relay", energised=True)
        self._locked = False
        return int(line["monotonic_ns"]) - before

    def enter(self) -> None:
        """Type the last digit and wait for the decision, whether or not the door is open."""
        self.stage.keypad.send(self._last_digit)
        with self._quoted():
            self.stage.wait_for("decision", verdict="granted")

    def await_lock(self) -> None:
        """Wait until the last patron's release is over."""
        if not self._locked:
            self.stage.wait_for("relay", energised=False)
            self._locked = True

    @contextmanager
    def _quoted(self) -> Iterator[None]:
        # A swipe that fails does not tell its reason; the door's last lines do.
        before = len(self.stage.lines)
        try:
            yield
        except NotAnsweringError as error:
            quoted = "\n".join(map(str, self.stage.lines[max(0, before - LAST_LINES) :]))
            raise NotAnsweringError(f"{error}; the door's last lines:\n{quoted}") from None

    def _await_record(self) -> None:
        limit_s = time.monotonic() + LIMIT_S
        while self._last_attempt() < self._attempts:
            if time.monotonic() > limit_s:
                raise NotAnsweringError("a swipe was not put on record in time")
            time.sleep(LOOK_S)

    def _last_attempt(self) -> int:
        return max((visit.attempt for visit in self._history.visits(LONG_AGO)), default=0)


def staged(register: Register, *overrides: str) -> Stage:
    """Return a stage for a register's directory; its door is not started yet.

    `overrides`: more ``--set`` values.
    """
    return Stage(register.directory, shipped("demo.toml"), (*settings(register), *overrides))


def settings(register: Register) -> tuple[str, ...]:
    """Return what every stage lays over its configuration."""
    seal = register.sealer.seal
    return (
        f"door.release_s={RELEASE_S}",
        f"seal.memory_kib={seal.memory_kib}",
        f"seal.iterations={seal.iterations}",
    )


@contextmanager
def running(stage: Stage) -> Iterator[Lane]:
    """Start a stage's door, which runs until the end of the block."""
    with stage:
        stage.start()
        with closing(VisitHistory(stage.directory / "visits.db")) as history:
            yield Lane(stage, history)
        stage.stop()


@contextmanager
def running_all(stages: Iterable[Stage]) -> Iterator[list[Lane]]:
    """Start a door on each stage."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(stage)) for stage in stages]


def play(lanes: Sequence[Lane], echo: Echo, rounds: int) -> tuple[list[list[int]], list[int]]:
    """Let people in, one at each door in turn.

    Returns:
        Nanoseconds from the last digit to the relay, a list for each door; and of the echo,
        which takes its turn too.
    """
    taken: list[list[int]] = [[] for _ in lanes]
    floor: list[int] = []
    for _ in range(rounds):
        for lane in lanes:
            lane.approach()
        for lane, times in zip(lanes, taken, strict=True):
            lane.await_lock()
            times.append(lane.enter_ns())
        floor.append(echo.time_ns())
    return taken, floor


def echo_directory(work: Path) -> Path:
    """Return a new directory for an echo's pseudo-terminal."""
    directory = work / "echo"
    directory.mkdir(parents=True)
    return directory


DOOR_PART = "last digit -> relay, whole door"


def door(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at doors with registers of each size, taking turns with a bare echo."""
    registers = [each for size in plan.sizes for each in _copies(work, size, plan.lanes)]
    stages = (staged(register, "clock.trust=auto") for register in registers)
    with running_all(stages) as lanes, Echo(echo_directory(work)) as echo:
        taken, floor_ns = play(lanes, echo, plan.rounds)
    floor = Spread.of_ns(floor_ns)
    spreads: dict[int, Spread] = {}
    for place, size in enumerate(plan.sizes):
        of_size = taken[place * plan.lanes : (place + 1) * plan.lanes]
        spreads[size] = Spread.of_ns(list(chain.from_iterable(of_size)))
        yield from _figures(f"{DOOR_PART}, {size:,} patrons", spreads[size], floor)
    yield from growth(f"{DOOR_PART}, growth", spreads)


def _figures(part: str, whole: Spread, floor: Spread) -> Iterator[Figure]:
    yield from whole.figures(part, floor)
    yield Figure(part, "p50 less the floor's", whole.p50 - floor.p50, "ms", whole.n, budget=P50_MS)
    yield Figure(part, "p99 less the floor's", whole.p99 - floor.p99, "ms", whole.n, budget=P99_MS)


def _copies(work: Path, size: int, count: int) -> list[Register]:
    first = fill(work / f"{size}-0", size)
    return [first, *(first.copied(work / f"{size}-{number}") for number in range(1, count))]


BUSY_P99_MS = 5.0
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

    def __exit__(self, *_error: object) -> None:
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


def busy(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at two doors of the largest of the plan's usual sizes, all cores being busy."""
    size = min(plan.sizes[-1], 100_000)
    first = fill(work / "busy-0", size, BUSY_SEAL)
    registers = [first, *(first.copied(work / f"busy-{n}") for n in range(1, LANES))]
    feed = work / "feed.ndjson"
    write_feed(feed, plan.feed, FEED_SEED, utc_now().date())
    with running_all(map(staged, registers)) as lanes, Echo(echo_directory(work)) as echo:
        loading = [_command(lane.stage, "patrons", "load", str(feed)) for lane in lanes]
        purging = [_command(lane.stage, "purge") for lane in lanes]
        with Background(loading) as loads, Background(purging) as purges:
            taken, floor = play(lanes, echo, plan.busy_rounds)
    part = f"last digit -> relay beside loads and purges, whole door, {size:,} patrons"
    spread = Spread.of_ns(list(chain.from_iterable(taken)))
    yield from spread.figures(part, Spread.of_ns(floor), p99=BUSY_P99_MS)
    yield Figure(part, f"loads of {plan.feed:,} patrons meanwhile", loads.runs, "", loads.runs)
    yield Figure(part, "purges meanwhile", purges.runs, "", purges.runs)


def _command(stage: Stage, *words: str) -> Work:
    def run() -> str:
        done = stage.call(*words)
        return f"{done.returncode}: {done.stderr}" if done.returncode else ""

    return run


START_S = 0.6
RSS_MB = 45.0
"""Budgets of the design."""

KIB_PER_MB = 1024
START_PART = "door process, {:,} patrons, sealed at the default cost"


def starts(plan: Plan, work: Path) -> Iterator[Figure]:
    """Start doors, then look at one of them before and after people came."""
    size = min(plan.sizes[-1], 100_000)
    part = START_PART.format(size)
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
    with running(staged(register)) as lane:
        stage = lane.stage
        yield Figure(
            part, "RSS at `ready`", resident_mb(stage.pid, "VmRSS"), "MB", 1, budget=RSS_MB
        )
        for _ in range(swipes):
            lane.approach()
            lane.enter()
        after = f"after {swipes} swipes"
        yield Figure(part, f"RSS {after}", resident_mb(stage.pid, "VmRSS"), "MB", 1, budget=RSS_MB)
        yield Figure(part, f"RSS at its highest {after}", resident_mb(stage.pid, "VmHWM"), "MB", 1)
        yield Figure(part, f"threads {after}", _status(stage.pid, "Threads"), "", 1)
        files = sum(1 for _ in Path(f"/proc/{stage.pid}/fd").iterdir())
        yield Figure(part, f"open files {after}", files, "", 1)


def resident_mb(pid: int, name: str) -> float:
    """Return how much memory a process has, in MiB: ``VmRSS`` now, ``VmHWM`` at its highest."""
    return _status(pid, name) / KIB_PER_MB


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


BACK_S = 1.0
"""The design's budget from the device node to the next swipe that works."""

REPLUG_PART = "reader unplugged and back"


def replug(plan: Plan, work: Path) -> Iterator[Figure]:
    """Pull the reader of a whole door and put it back, time and again."""
    with staged(fill(work / "replug", KNOWN)) as stage:
        stage.start()
        longest_s = max(back_s(stage) for _ in range(plan.replugs))
        stage.stop()
    yield Figure(REPLUG_PART, "node -> connected, max", longest_s, "s", plan.replugs, budget=BACK_S)


def back_s(stage: Stage) -> float:
    """Pull the reader and put it back; return how long it takes until the door has it."""
    stage.reader.pull()
    stage.wait_for("reader", state="lost")
    before = time.monotonic()
    stage.reader.put_in()
    stage.wait_for("reader", state="connected")
    return time.monotonic() - before
