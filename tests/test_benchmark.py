from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from types import FrameType

from tests.benchmark.decision import InProcessDoor
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.pages import PAGES
from tests.benchmark.parts import PARTS, measured
from tests.benchmark.plan import SMALLEST
from tests.benchmark.register import cards, fill
from tests.benchmark.table import as_json, as_table

ROWS = Counter(
    {
        "last digit -> relay, own time in one process": 2 * (2 * 3 + 1),
        "last digit -> relay, whole door": 2 * 5 + 1,
        "last digit -> relay beside loads and purges": 5,
        "last digit -> relay beside pushes": 4,
        "door process": 7,
        "reader unplugged and back": 1,
        "swipe": 1,
        "push of 20 rows": 4,
        "changes of 5 rows": 2,
        "last digit -> relay beside 25 staff pages": 3,
        "page": 3 * len(PAGES) + 1,
        "web process": 5,
        "purge of 30 days": 1,
    }
)
"""How the heading of a part begins -> how many rows stand under such headings."""

MOST_CALLS = 90
"""85 on Python 3.11, 8 of them gpiozero's; 162 where all is judged at the last digit."""


def test_every_row_of_the_table_is_produced(tmp_path: Path) -> None:
    """The benchmark runs through and leaves out no figure; how fast the door is is not asked."""
    told: list[str] = []

    figures = measured(SMALLEST, tmp_path, told.append)

    assert told == list(PARTS)
    assert Counter(_beginning(figure.part) for figure in figures) == ROWS
    may_be_nothing = ("less the floor", "RSS added")
    assert all(
        figure.value > 0
        for figure in figures
        if not any(what in figure.what for what in may_be_nothing)
    )
    table = as_table({"machine": "any"}, figures)
    assert all(f"  {figure.what} " in table for figure in figures)
    assert len(json.loads(as_json({}, figures))["figures"]) == len(figures)


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


def _beginning(part: str) -> str:
    return next(beginning for beginning in ROWS if part.startswith(beginning))


def test_the_last_digit_takes_few_steps_to_the_relay(tmp_path: Path) -> None:
    """Calls of Python functions are the same on every machine: a budget that no load disturbs."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call" and not relay.edge_ns

    with InProcessDoor(fill(tmp_path / "door", 100)) as door:
        relay = door.relay
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
