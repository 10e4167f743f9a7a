"""All libraries and doors over one server, round by round, and what is disturbed meanwhile."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.extras.fleet.nats_server import STREAMS, NatsServer
from tests.fleet.doors import Door, Threads
from tests.fleet.libraries import Library, Pushed

AT_A_TIME = 4
"""Senders that run beside each other."""

FAULTS = ("none", "server killed", "doors away", "doors restarted", "clocks apart")


@dataclass(frozen=True)
class Round:
    """What came of a round: seconds until a share of its doors had applied it, from the push on.

    `applied` are the doors that did while it lasted, of those that ran at its beginning; `wrong`
    are sentences on what may never be.
    """

    number: int
    fault: str
    doors: int
    applied: int
    codes: Counter[int]
    half_s: float
    most_s: float
    all_s: float
    processor_s: float
    wrong: tuple[str, ...]


class Country:
    """Libraries with their doors; `draw` decides what happens to them."""

    def __init__(self, libraries: list[Library], server: NatsServer, draw: random.Random) -> None:
        self.libraries, self._server, self._draw = libraries, server, draw
        self.doors = [door for library in libraries for door in library.doors]
        self._known: dict[str, int] = dict.fromkeys((door.who.name for door in self.doors), 0)

    def round(self, number: int, fault: str, changed: int) -> Round:
        """Change each register, push each, disturb them meanwhile, and look at every door."""
        for library in self.libraries:
            if number:
                library.change(self._draw, changed)
        with self._disturbed(fault) as running:
            pushed = self._pushed()
        times_s = sorted(self._times_s(running, pushed)) or [0.0]
        wrong = [*self._odd(), *(self._missing(pushed) if fault == "none" else ())]
        return Round(
            number,
            fault,
            len(running),
            sum(at_s > 0 for at_s in times_s),
            Counter(each.code for each in pushed.values()),
            times_s[(len(times_s) - 1) // 2],
            times_s[99 * (len(times_s) - 1) // 100],
            times_s[-1],
            sum(each.processor_s for each in pushed.values()),
            tuple(wrong),
        )

    def _pushed(self) -> dict[str, Pushed]:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            done = pool.map(Library.push, self.libraries)
            return {each.name: run for each, run in zip(self.libraries, done, strict=True)}

    def _times_s(self, running: list[Door], pushed: dict[str, Pushed]) -> Iterator[float]:
        for door in running:
            began_s = pushed[library_of(door)].began_s
            later = [at_s - began_s for at_s in door.log.applied.values() if at_s > began_s]
            if later:
                yield max(later)

    def _odd(self) -> Iterator[str]:
        """Look for what no fault explains."""
        for door in self.doors:
            name, epochs = door.who.name, door.epochs
            if epochs != sorted(set(epochs)):
                yield f"{name}: applied an older push or one twice: {epochs}"
            held = door.held()[0] if door.runs else None
            if held is not None and held < self._known[name]:
                yield f"{name}: holds {held}, and has held {self._known[name]}"
            self._known[name] = held or self._known[name]
            if odd := set(map(str, door.log.alarms)) - {"nats_lost", "nats_back"}:
                yield f"{name}: alarms {sorted(odd)}"

    def _missing(self, pushed: dict[str, Pushed]) -> Iterator[str]:
        """Look, after a round in peace, whether all doors of a library hold the same as it."""
        for library in self.libraries:
            run = pushed[library.name]
            if run.code:
                yield f"{library.name}: sync push ended with {run.code}: {run.said[-400:]}"
            held = Counter(door.held() for door in library.doors)
            if len(held) != 1:
                yield f"{library.name}: its doors hold {len(held)} different registers"
            if any(door.cards() != library.cards for door in library.doors):
                yield f"{library.name}: not every door holds its {library.cards} cards"

    @contextmanager
    def _disturbed(self, fault: str) -> Iterator[list[Door]]:
        """Have a fault until the end of the block; gives the doors that run at its beginning."""
        some = self._draw.sample(self.doors, max(1, len(self.doors) // 5))
        with ExitStack() as stack:
            if fault == "doors away":
                for door in some:
                    door.stop()
                    stack.callback(door.start)
            if fault == "clocks apart":
                for door in some:
                    door.clock.advance(self._draw.uniform(-1, 1) * 86_400)
            running = [door for door in self.doors if door.runs]
            deeds: dict[str, Callable[[], None]] = {
                "server killed": self._kill_server,
                "doors restarted": partial(restart, some),
            }
            if fault in deeds:
                pauses_s = [self._draw.uniform(0.5, 3.0) for _ in range(2)]
                stack.enter_context(beside(pauses_s, deeds[fault]))
            yield running

    def _kill_server(self) -> None:
        self._server.end()
        time.sleep(0.5)
        self._server.start()


@contextmanager
def beside(pauses_s: Sequence[float], deed: Callable[[], None]) -> Iterator[None]:
    """Do something after each pause, beside the block; it ends once all is done."""

    def each() -> None:
        for pause_s in pauses_s:
            time.sleep(pause_s)
            deed()

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(each)
        yield
        job.result()


def restart(doors: list[Door]) -> None:
    """Stop and start some doors."""
    for door in doors:
        door.stop()
        door.start()


def library_of(door: Door) -> str:
    """Return the name of a door's library."""
    return door.who.name.rpartition("-")[0]


@contextmanager
def country(
    directory: Path, doors: int, patrons: int, libraries: int, draw: random.Random
) -> Iterator[Country]:
    """Start a server and all doors, until the end of the block."""
    server, threads = NatsServer(directory, STREAMS.format(store=directory / "store")), Threads()
    server.start()
    made: list[Library] = []
    try:
        for number in range(libraries):
            library = Library(
                directory / f"library{number}",
                f"by{number}",
                patrons // libraries,
                (server.url,),
            )
            made.append(library)
            many = (number + 1) * doors // libraries - number * doors // libraries
            library.open_doors(many, threads, number)
        for library in made:
            for door in library.doors:
                door.start()
        yield Country(made, server, draw)
    finally:
        for library in made:
            for door in library.doors:
                door.stop()
        server.end()
        threads.end()
