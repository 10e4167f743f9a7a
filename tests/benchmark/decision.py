"""Last digit to relay inside one process: our own time, without pseudo-terminals or threads.

Everything is the real thing but the pins; the relay is wrapped so that it notes its edge.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from argon2.low_level import Type, hash_secret_raw

from doorctl.access.patron import KEY_BYTES
from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.config.tables import Door
from doorctl.devices.factory import open_factory
from doorctl.devices.lines import KEYPAD, READER, BytesReceived
from doorctl.devices.pins import GpioRelay, GpioSignals
from doorctl.doord.loop_events import LoopQueue, PostedEvent, ThreadFailed
from doorctl.doord.self_test import rules
from doorctl.doord.stores import SteadyVisitLog
from doorctl.ops.clock import BUILD_FLOOR, SystemClock
from doorctl.ops.logs import JsonLog
from doorctl.ops.memory import spare_the_collector
from doorctl.ops.threads import WorkerThread
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache
from doorctl.store.sealer import ITERATIONS, MEMORY_KIB
from doorctl.store.visits import open_or_create_visits
from tests.benchmark.figures import NS_PER_MS, Figure, Plan, Spread, least_ns
from tests.benchmark.register import KNOWN, Card, Register, cards, fill
from tests.doord.fake_door import FakeDoor

CloseableT = TypeVar("CloseableT", bound=Any)
LIMIT_S = 10.0
WARM_UP = 5
"""Attempts that are not counted: the first ones fill SQLite's cache of pages and statements."""

REST_S = 0.02
"""A patron's keys are further apart, so a door never decides with warm processor caches."""

PART = "last digit -> relay, own time in one process"

P50_MS, P99_MS, GROWTH = 0.2, 1.0, 1.5
"""Budgets of the design."""


class TimedRelay(GpioRelay):
    """A relay that notes when it was last energised; `perf_counter` nanoseconds."""

    def __init__(self, inner: GpioRelay) -> None:
        self._inner = inner
        self.edge_ns = 0

    def energise(self) -> None:
        """Energise, then note the time."""
        self._inner.energise()
        self.edge_ns = time.perf_counter_ns()

    def de_energise(self) -> None:
        """Pass it on."""
        self._inner.de_energise()


class InProcessDoor(FakeDoor):
    """A door of real parts, turned by hand on the caller's thread.

    Args:
        register: its patrons; the door log is made beside them.
    """

    def __init__(self, register: Register) -> None:
        self._stack = ExitStack()
        self._event_queue = LoopQueue()
        sink = os.open(os.devnull, os.O_WRONLY)
        self._stack.callback(os.close, sink)
        self._worker: WorkerThread[PostedEvent] = WorkerThread(self._event_queue.put, self._failed)
        self._worker.start()
        self._stack.callback(self._worker.stop, LIMIT_S)
        visits_db = register.directory / "visits.db"
        visits = self._worker.call(lambda: open_or_create_visits(visits_db), timeout_s=LIMIT_S)
        self._stack.callback(lambda: self._worker.call(visits.close, timeout_s=LIMIT_S))
        self.timed, signals = self._pins(register.directory)
        real: dict[str, Any] = {
            "log": self._closed(JsonLog(sink)),
            "clock": SystemClock("Europe/Copenhagen", "auto", BUILD_FLOOR),
            "patrons": self._closed(PatronCache(register.path, register.sealer.seal)),
            "branch": self._closed(BranchRecords(register.directory / "branch.db")),
            "visits": visits,
            "signals": signals,
        }
        super().__init__(
            rules=rules(load(shipped("demo.toml"))),
            sealer=register.sealer,
            lines=frozenset(),
            door_rules=Door(release_s=0.0),
            **real,
        )

    def __post_init__(self) -> None:
        self.steady = SteadyVisitLog(self.visits, self.log)
        build = partial(self.build, self.timed, self._worker)
        self.controller = self._worker.call(build, timeout_s=LIMIT_S)
        self.handle = self.controller.handle
        # The loop's first turn has the hours read.
        self.controller.pass_time()
        self.handle(self._event_queue.get(timeout=LIMIT_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def prepare_ns(self, card: Card) -> int:
        """Swipe a card and return how long it takes until all is known of it."""
        before = time.perf_counter_ns()
        self.controller.handle(BytesReceived(READER, card.swipe))
        prepared = self._event_queue.get(timeout=LIMIT_S)
        taken = time.perf_counter_ns() - before
        self.controller.handle(prepared)
        return taken

    def open_ns(self, card: Card, rest_s: float = 0.0) -> int:
        """Let a patron in; return the time from the last digit's event to the relay's edge.

        `card`: one that is let in; `rest_s`: seconds of sleep before the last digit.
        """
        return self.finish_ns(self.typed(card), rest_s)

    def finish_ns(self, last: BytesReceived, rest_s: float = 0.0) -> int:
        """Take the last digit that :meth:`typed` returned; return as :meth:`open_ns`."""
        time.sleep(rest_s)
        before = time.perf_counter_ns()
        self.handle(last)
        taken = self.timed.edge_ns - before
        assert taken > 0, "the card was not let in"
        self.controller.pass_time()
        # The outcome is on record before the next one comes, as between two people.
        self._worker.call(lambda: None, timeout_s=LIMIT_S)
        return taken

    def typed(self, card: Card) -> BytesReceived:
        """Swipe a card and type its PIN but for the last digit; return that digit's event."""
        self.prepare_ns(card)
        *first, last = (BytesReceived(KEYPAD, key.encode()) for key in card.pin)
        for event in first:
            self.handle(event)
        return last

    def _closed(self, opened: CloseableT) -> CloseableT:
        return self._stack.enter_context(closing(opened))

    def _pins(self, directory: Path) -> tuple[TimedRelay, GpioSignals]:
        factory = self._closed(open_factory("mock", directory))
        relay = self._closed(GpioRelay(factory, 17, active_high=True))
        return TimedRelay(relay), self._closed(GpioSignals(factory, 23, 24, 25))

    def _failed(self, error: BaseException) -> None:
        self._event_queue.put(ThreadFailed(error))


def decision(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at registers of each size, one at each in turn; back to back and rested."""
    with ExitStack() as stack:
        doors = {
            size: stack.enter_context(InProcessDoor(fill(work / f"{size}", size)))
            for size in plan.sizes
        }
        # As the door process does at its start.
        spare_the_collector()
        stack.callback(gc.unfreeze)
        yield from _figures("back to back", doors, plan.attempts, 0.0)
        yield from _figures(f"after {REST_S * 1000:.0f} ms of rest", doors, plan.rested, REST_S)


def _figures(
    how: str, doors: dict[int, InProcessDoor], attempts: int, rest_s: float
) -> Iterator[Figure]:
    spreads, floor = _timed(doors, attempts, rest_s)
    for size, spread in spreads.items():
        yield from spread.figures(f"{PART}, {size:,} patrons, {how}", floor, p50=P50_MS, p99=P99_MS)
    yield from growth(f"{PART}, growth, {how}", spreads)


def growth(part: str, spreads: dict[int, Spread]) -> Iterator[Figure]:
    """Yield how much longer the median of each larger register is than the smallest one's."""
    (smallest, base), *larger = spreads.items()
    for size, spread in larger:
        what = f"p50, {smallest:,} -> {size:,} patrons"
        yield Figure(part, what, spread.p50 / base.p50, "x", spread.n, budget=GROWTH)


def _timed(
    doors: dict[int, InProcessDoor], attempts: int, rest_s: float
) -> tuple[dict[int, Spread], Spread]:
    """Return each door's times, and the floor's: in turn with them, after the same rest."""
    taken: dict[int, list[int]] = {size: [] for size in doors}
    floor = []
    with least_ns() as least:
        for card in islice(cards(), WARM_UP + attempts):
            for size, door in doors.items():
                taken[size].append(door.open_ns(card, rest_s))
            time.sleep(rest_s)
            floor.append(least())
    spreads = {size: Spread.of_ns(each[WARM_UP:]) for size, each in taken.items()}
    return spreads, Spread.of_ns(floor[WARM_UP:])


SWIPE_PART = f"swipe, first byte -> prepared, Argon2id {MEMORY_KIB} KiB x {ITERATIONS}"


def swipe(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time swipes in one process, in pairs with the bare hash."""
    with InProcessDoor(fill(work / "swipe", KNOWN, (MEMORY_KIB, ITERATIONS))) as door:
        pairs = [(door.prepare_ns(card), _hash_ns()) for card in islice(cards(), plan.pairs)]
    swipe, bare = (statistics.median(times) / NS_PER_MS for times in zip(*pairs, strict=True))
    what = "median; floor: the bare hash"
    yield Figure(SWIPE_PART, what, swipe, "ms", plan.pairs, bare)


def _hash_ns() -> int:
    before = time.perf_counter_ns()
    hash_secret_raw(
        secret=b"card:3000001234",
        salt=bytes(KEY_BYTES),
        time_cost=ITERATIONS,
        memory_cost=MEMORY_KIB,
        parallelism=1,
        hash_len=KEY_BYTES,
        type=Type.ID,
    )
    return time.perf_counter_ns() - before
