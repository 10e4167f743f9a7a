"""Where the time from the last digit to the relay goes, and what a rest before it costs.

The real parts of one door note when they are reached; between two decisions the door rests in one
of several ways, in turn, so that what a rest costs is compared within one run.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, wraps
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from doorctl.core.ports import Clock
from tests.benchmark.decision import REST_S, WARM_UP, InProcessDoor
from tests.benchmark.figures import NS_PER_MS, Figure, Plan, Spread, least_ns
from tests.benchmark.register import KNOWN, Card, cards, fill

PART = "last digit -> relay by stops"
PATRONS = 1_000 + KNOWN
RESTS = 5
SLOW_DIGIT_S = 1.5
"""The last turn of the loop is half a second ago then."""

CACHES_BYTES = 64 * 2**20
"""More than a processor's caches hold."""

STOPS = (
    "the key is read",
    "the clocks",
    "the branch's version",
    "the hours still hold",
    "the cache's version",
    "the mode",
    "judged, HMAC included",
    "strike, log, bound",
    "the pin",
)
BEGUN = "the event is taken"
TOTALS = ("all, p50; floor: the least", "all, p99; floor: the least")
OF_FLOOR = (2.5, 4.0)
"""Budgets of the totals after a rest, times their floor."""


@dataclass(frozen=True)
class Rest:
    """How a door rests before its last digit, and before the card."""

    before_last_digit: Callable[[], object]
    before_card: Callable[[], object] = lambda: None


class Stopped:
    """A door that notes when an event reaches each of :data:`STOPS`."""

    def __init__(self, door: InProcessDoor) -> None:
        self._door = door
        self._reached: dict[str, int] = {}
        controller, doorway = door.controller, door.controller.doorway
        after = (
            (controller.keypad, "receive", 0),
            (controller.clock, "moment", 1),
            (controller.branch, "version", 2),
            (controller.daily, "look", 3),
            (controller.cache, "version", 4),
            (controller.daily, "mode_at", 5),
        )
        for part, method, stop in after:
            self._note(part, method, STOPS[stop], before=False)
        self._note(door, "handle", BEGUN, before=True)
        self._note(doorway, "let_in", STOPS[6], before=True)
        self._note(door.timed, "energise", STOPS[7], before=True)

    def _note(self, part: Any, method: str, stop: str, *, before: bool) -> None:
        inner: Callable[..., Any] = getattr(part, method)
        reached = self._reached

        @wraps(inner)
        def noted(*args: Any, **more: Any) -> Any:
            if before:
                reached.setdefault(stop, time.perf_counter_ns())
            result = inner(*args, **more)
            if not before:
                reached.setdefault(stop, time.perf_counter_ns())
            return result

        setattr(part, method, noted)

    def open_ns(self, card: Card, rest: Rest) -> dict[str, int]:
        """Let a patron in after a rest; return how long the way to each stop was."""
        rest.before_card()
        last = self._door.typed(card)
        rest.before_last_digit()
        self._reached.clear()
        self._door.finish_ns(last)
        at = {**self._reached, STOPS[-1]: self._door.timed.edge_ns}
        taken, begun = {}, at[BEGUN]
        for stop in STOPS:
            taken[stop], begun = at[stop] - begun, at[stop]
        return taken


def rests(long_s: float, clock: Clock, turn: Callable[[], object]) -> dict[str, Rest]:
    """Return the ways to rest, by their name; in a long one the loop turns each second."""
    # Not zeroes, which the kernel maps to one page.
    memory = bytearray(b"x") * CACHES_BYTES

    def awake() -> None:
        until = time.perf_counter() + REST_S
        while time.perf_counter() < until:
            pass

    def asleep(for_s: float) -> None:
        # As the loop does, which turns when the answer of the time sources has ended.
        until_s = clock.monotonic_s() + for_s
        while (now_s := clock.monotonic_s()) < until_s:
            turn()
            time.sleep(max(0.0, min(until_s, clock.asks_at_s()) - now_s))

    return {
        "back to back": Rest(lambda: None),
        f"{REST_S * 1000:.0f} ms awake": Rest(awake),
        "caches emptied, no rest": Rest(lambda: memory.count(b"y")),
        f"{REST_S * 1000:.0f} ms asleep": Rest(lambda: time.sleep(REST_S)),
        "a minute asleep, then a slow digit": Rest(
            partial(asleep, SLOW_DIGIT_S), partial(asleep, long_s)
        ),
    }


def stops(plan: Plan, work: Path) -> Iterator[Figure]:
    """Yield the median of each stop for each way to rest, beside that back to back."""
    taken: dict[str, list[dict[str, int]]] = defaultdict(list)
    floors: dict[str, list[int]] = defaultdict(list)
    with ExitStack() as stack:
        door = stack.enter_context(InProcessDoor(fill(work / "stops", PATRONS)))
        least = stack.enter_context(least_ns())
        ways = rests(plan.long_rest_s, door.clock, door.controller.pass_time)
        *often, seldom = ways
        stopped = Stopped(door)
        gc.freeze()
        stack.callback(gc.unfreeze)
        for turn, card in enumerate(islice(cards(), WARM_UP + plan.rested)):
            long = WARM_UP <= turn < WARM_UP + plan.long_rests
            for name in [*often, seldom] if long else often:
                taken[name].append(stopped.open_ns(card, ways[name]))
                ways[name].before_card()
                ways[name].before_last_digit()
                floors[name].append(least())
    for name in often:
        del taken[name][:WARM_UP], floors[name][:WARM_UP]
    for name in ways:
        yield from _figures(name, taken, floors[name])


def _figures(
    name: str, taken: dict[str, list[dict[str, int]]], floors: list[int]
) -> Iterator[Figure]:
    part = f"{PART}, {name}"
    each, base = taken[name], next(iter(taken.values()))
    for stop in STOPS:
        value, before = (median(at[stop] for at in of) / NS_PER_MS for of in (each, base))
        yield Figure(part, f"{stop}; floor: back to back", value, "ms", len(each), before)
    spread = Spread.of_ns([sum(at.values()) for at in each])
    floor = Spread.of_ns(floors)
    values = ((spread.p50, floor.p50), (spread.p99, floor.p99))
    for what, (value, least), most in zip(TOTALS, values, OF_FLOOR, strict=True):
        budget = None if each is base else most * least
        yield Figure(part, what, value, "ms", spread.n, least, budget)
