from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.benchmark.__main__ import ROWS, problems_of
from tests.benchmark.figures import QUICK
from tests.benchmark.stops import PART, stops


def test_each_stop_of_the_way_to_the_relay_has_its_row(tmp_path: Path) -> None:
    """After each kind of rest every stop is reached in its order, and none is missing."""
    figures = list(stops(replace(QUICK, rested=2, long_rests=2, long_rest_s=0.1), tmp_path))

    assert len(figures) == ROWS[PART]
    missing = [each for each in problems_of(figures) if each.startswith(PART)]
    assert missing == []
