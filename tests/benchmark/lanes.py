"""Whole doors at which people come and go, as fast as the shortest release allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from doorctl.core.errors import NotAnsweringError
from doorctl.demo.door import LIMIT_S, Stage, shipped
from doorctl.store.door_log import VisitHistory
from tests.benchmark.floor import Echo
from tests.benchmark.register import Register, cards

RELEASE_S = 0.5
"""The shortest that the configuration allows; the next grant is timed once it is over."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOOK_S = 0.005
LAST_LINES = 10
"""How many of the door's lines before a swipe that failed are told with it."""


class Lane:
    """One running door and its patrons.

    `stage`: a started door with an empty door log; `attempts`: the last number that stands there
    already.
    """

    def __init__(self, stage: Stage, history: VisitHistory, attempts: int = 0) -> None:
        self.stage = stage
        self._history = history
        self._cards = cards()
        self._attempts = attempts
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
        # A swipe that fails says nothing of its reason; what the door said last does.
        before = len(self.stage.lines)
        try:
            yield
        except NotAnsweringError as error:
            said = "\n".join(map(str, self.stage.lines[max(0, before - LAST_LINES) :]))
            raise NotAnsweringError(f"{error}; the door said:\n{said}") from None

    def _await_record(self) -> None:
        limit_s = time.monotonic() + LIMIT_S
        while self._last_attempt() < self._attempts:
            if time.monotonic() > limit_s:
                raise NotAnsweringError("a swipe was not put on record in time")
            time.sleep(LOOK_S)

    def _last_attempt(self) -> int:
        return max((visit.attempt for visit in self._history.visits(LONG_AGO)), default=0)


@contextmanager
def staged(register: Register, *overrides: str) -> Iterator[Stage]:
    """Yield a stage for a register's directory; its door is not started yet.

    `overrides`: more ``--set`` values.
    """
    seal = register.sealer.seal
    values = (
        f"door.release_s={RELEASE_S}",
        f"seal.memory_kib={seal.memory_kib}",
        f"seal.iterations={seal.iterations}",
        *overrides,
    )
    with Stage(register.directory, shipped("demo.toml"), values) as stage:
        yield stage


@contextmanager
def opened(register: Register, *overrides: str) -> Iterator[Lane]:
    """Yield a running door."""
    with staged(register, *overrides) as stage:
        stage.start()
        with closing(VisitHistory(register.directory / "visits.db")) as history:
            yield Lane(stage, history)
        stage.stop()


@contextmanager
def opened_all(registers: Sequence[Register], *overrides: str) -> Iterator[list[Lane]]:
    """Yield a running door for each register."""
    with ExitStack() as stack:
        yield [stack.enter_context(opened(register, *overrides)) for register in registers]


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
