from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TRIED = """
from hypothesis import core, given, settings, strategies
import tests.conftest

settings.load_profile("whole")
for core.global_force_seed in (20261128, 20261128, 20261129):
    tried = []
    given(strategies.integers())(lambda number: tried.append(number))()
    print(len(tried), tried)
"""


def test_a_draw_decides_which_examples_the_whole_profile_tries() -> None:
    """In CI too, where Hypothesis would draw the same ones for ever: others for another draw.

    Bug (outside look): in CI Hypothesis tried the same examples of each property for ever:
    `CI=true` has it draw none.
    """
    done = subprocess.run(
        [sys.executable, "-c", TRIED],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"CI": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, again, other = done.stdout.splitlines()

    assert first.startswith("150 ")
    assert (again == first, other == first) == (True, False)
