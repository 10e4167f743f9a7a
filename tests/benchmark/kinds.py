"""How long each kind of reader and keypad takes: card to identifier, digit to decision."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from doorctl.config.shipped import shipped
from doorctl.demo.door import Stage
from doorctl.store.door_log import VisitHistory
from tests.benchmark.figures import Echo, Figure, Plan, Spread
from tests.benchmark.lanes import BACK_S, Lane, back_s, echo_directory, resident_mb, settings
from tests.benchmark.pages import cpu_clock
from tests.benchmark.register import KNOWN, Register, fill
from tests.e2e.kinds import CABLED, KINDS
from tests.fakes.keyboard import built

CARD = b"3000001234\r"

CARD_MS = MappingProxyType({"usb": 5.0, "osdp": 80.0})
"""The design's budgets from the last key of a card, or the card, to the identifier."""

DIGIT_MS = MappingProxyType({"osdp": 120.0})
"""The design's budget from a digit to the decision; libosdp polls each 50 ms."""

SETTLED_S = 3.0
"""After this a process that has begun does nothing more of it."""

HAND_S = 0.1
"""From the first three digits, which come at once, to the last: as fast as a hand types. An OSDP
reader is asked for one digit at a time, between its lamps and its buzzer."""

POLLING_SHARE = 2.0
"""The design's budget for polling: percent of a core of a Pi 3, while nobody is at the door."""

PI_3 = 10
"""A core of a Pi 3 is eight to ten times as slow as those that this was written on: what a kind
takes there is reckoned with the larger number, and was measured on none. That is too much where it
is waking up that takes the time, which costs a virtual machine most: see the floor. By
instructions (callgrind: 115,000 of a program's own for each poll, 19 polls a second) it is 2.2
million a second, 0.4 % of a core that does 600 million; with the kernel's it may be 1 %."""

WAKES_S = 0.026
"""An OSDP reader's thread is woken twice for each poll, which comes each 0.052 s."""

WAKING = f"import select\nwhile True: select.select((), (), (), {WAKES_S})"

ADDED_MB = 3.0
"""The design's budget for the memory of a kind, beside a door of serial lines."""

KINDS_PART = "reader and keypad of the kind"


class KindStage(Stage):
    """A stage whose devices are of one kind."""

    most_of_a_card = 0

    def __init__(self, register: Register, kind: str, library: Path) -> None:
        super().__init__(register.directory, shipped("demo.toml"), settings(register))
        self._over = (f"LD_PRELOAD={library}",) if kind == "usb" else ()
        CABLED[kind](self)

    def configured(self, *overrides: str) -> Self:
        """Lay more over the configuration."""
        for override in overrides:
            self.options += ["--set", override]
        return self

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return the command line, under the library that answers about keyboards."""
        return ["env", *self._over, *super().command(*words, tethered=tethered)]

    def cards_ns(self, count: int) -> list[int]:
        """Read cards, by a process with these lines and nothing behind; return how long each took.

        From before a scanner types its first key, or an OSDP reader has its card.
        """
        self.reader.put_in()
        self.keypad.put_in()
        script = [sys.executable, "-m", "tests.benchmark.listen", *self.options]
        with subprocess.Popen(
            ["env", *self._over, *script], stdout=subprocess.PIPE, text=True
        ) as listening:
            assert listening.stdout is not None
            for _ in ("reader", "keypad"):
                assert listening.stdout.readline() == "open\n"
            taken = []
            for _ in range(count):
                before = time.monotonic_ns()
                self.reader.send(CARD)
                taken.append(int(listening.stdout.readline()) - before)
            listening.terminate()
        return taken


def kinds(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time cards and last digits at each kind, taking turns with a bare echo."""
    work.mkdir(parents=True)
    library = built(work)
    with subprocess.Popen([sys.executable, "-c", WAKING]) as waking:
        floor = Idle.of(waking.pid, plan.idle_s)
        waking.terminate()
    idle = {}
    for kind in KINDS:
        stage = KindStage(fill(work / kind, KNOWN), kind, library)
        with stage, Echo(echo_directory(work / f"{kind}-floor")) as echo:
            cards_ns = stage.cards_ns(plan.rounds)
            stage.start()
            with closing(VisitHistory(stage.directory / "visits.db")) as history:
                digits_ns, floor_ns = _typed(Lane(stage, history), echo, plan.rounds)
            idle[kind] = Idle.of(stage.pid, plan.idle_s)
            longest_s = max(back_s(stage) for _ in range(plan.replugs))
            stage.stop()
        yield from _figures(kind, cards_ns, digits_ns, floor_ns)
        part = f"{KINDS_PART} {kind}: reader unplugged and back"
        yield Figure(part, "node -> connected, max", longest_s, "s", plan.replugs, budget=BACK_S)
    for kind, each in idle.items():
        yield from each.figures(kind, floor, idle["serial"])


@dataclass(frozen=True, slots=True)
class Idle:
    """What a process takes while nobody comes, over so many seconds: `share` of a core, percent."""

    share: float
    rss_mb: float
    seconds: int

    @classmethod
    def of(cls, pid: int, seconds: int) -> Self:
        """Look at a process."""
        clock = cpu_clock(pid)
        time.sleep(SETTLED_S)
        before_s, began_s = time.clock_gettime(clock), time.monotonic()
        time.sleep(seconds)
        taken_s = time.clock_gettime(clock) - before_s
        share = 100 * taken_s / (time.monotonic() - began_s)
        return cls(share, resident_mb(pid, "VmRSS"), seconds)

    def figures(self, kind: str, floor: Idle, serial: Idle) -> Iterator[Figure]:
        """Yield the rows of a kind, beside the door of serial lines."""
        part = f"{KINDS_PART} {kind}: nobody comes"
        share = "share of a core here, whole door; floor: waking"
        yield Figure(part, share, self.share, "%", self.seconds, floor.share)
        if self is not serial:
            polling = max(0.0, self.share - serial.share)
            reckoned = f"RECKONED: added on a Pi 3, {PI_3} times as slow"
            yield Figure(part, reckoned, PI_3 * polling, "%", self.seconds, budget=POLLING_SHARE)
            added_mb = self.rss_mb - serial.rss_mb
            yield Figure(part, "RSS added to serial lines", added_mb, "MB", 1, budget=ADDED_MB)


def _typed(lane: Lane, echo: Echo, rounds: int) -> tuple[list[int], list[int]]:
    taken, floor = [], []
    for _ in range(rounds):
        lane.approach()
        lane.await_lock()
        time.sleep(HAND_S)
        taken.append(lane.enter_ns())
        floor.append(echo.time_ns())
    return taken, floor


def _figures(
    kind: str, cards_ns: Sequence[int], digits_ns: Sequence[int], floor_ns: Sequence[int]
) -> Iterator[Figure]:
    floor, part = Spread.of_ns(floor_ns), f"{KINDS_PART} {kind}:"
    card, digit = Spread.of_ns(cards_ns), Spread.of_ns(digits_ns)
    yield from card.figures(f"{part} card -> identifier", floor, p99=CARD_MS.get(kind))
    yield from digit.figures(f"{part} digit -> decision", floor, p99=DIGIT_MS.get(kind))
