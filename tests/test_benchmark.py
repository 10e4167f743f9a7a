from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from types import FrameType

from tests.benchmark.decision import InProcessDoor
from tests.benchmark.figures import Figure, Spread, as_table
from tests.benchmark.register import cards, fill

MOST_CALLS = 97
"""95 on Python 3.11, 8 of them gpiozero's; 162 where all is judged at the last digit."""


def test_a_figure_is_judged_by_its_budget_and_shown_beside_its_floor() -> None:
    """A figure above its budget is marked, one below is not, one without is not judged."""
    figures = [
        Figure("part", "above", 0.3, "ms", 1, floor=0.1, budget=0.2),
        Figure("part", "below", 0.2, "ms", 1, budget=0.2),
        Figure("part", "free", 9, "ms", 1),
    ]

    above, below, free = as_table({}, figures).splitlines()[-3:]

    assert above.split() == ["above", "0.3", "ms", "0.1", "ms", "3.00", "0.2", "ms", "1", "OVER"]
    assert below.endswith("ok")
    assert free.split() == ["free", "9", "ms", "1"]


def test_a_spread_tells_median_99th_percentile_and_maximum() -> None:
    """Of 1 to 200 ms the median is 100.5 ms; only 1 % of them are above the 99th percentile."""
    spread = Spread.of_ns([ms * 1_000_000 for ms in range(200, 0, -1)])

    assert spread == Spread(p50=100.5, p99=199.0, longest=200.0, n=200)


def test_the_last_digit_takes_few_steps_to_the_relay(tmp_path: Path) -> None:
    """Calls of Python functions are the same on every machine: a budget that no load disturbs."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call" and not relay.edge_ns

    with InProcessDoor(fill(tmp_path / "door", 100)) as door:
        relay = door.timed
        warm, card = islice(cards(), 2)
        door.open_ns(warm)
        last = door.typed(card)
        relay.edge_ns = 0
        sys.setprofile(count)
        try:
            door.handle(last)
        finally:
            sys.setprofile(None)

    assert relay.edge_ns
    assert calls <= MOST_CALLS
