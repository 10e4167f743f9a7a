from __future__ import annotations

from random import Random

import pytest

from tests.fuzz import osdp_line
from tests.fuzz.targets import NAMES, counted, drawn, targets


@pytest.mark.parametrize("name", NAMES)
def test_every_kept_input_is_still_answered_as_documented(name: str) -> None:
    """What once broke a reader of foreign bytes, or reached something new in it, is tried first."""
    with targets() as all_of_them:
        target = all_of_them[name]
        for data in target.stock.kept:
            target.check(data)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_makes_the_same_inputs(name: str) -> None:
    """A run that found something can be run again."""
    with targets() as all_of_them:
        stock = all_of_them[name].stock
    first, again = ([drawn(random, stock) for _ in range(50)] for random in map(Random, (7, 7)))

    assert first == again
    assert max(map(len, first)) <= stock.longest


def test_a_slice_of_the_long_run() -> None:
    """A few hundred fresh inputs for each target; the command tries millions."""
    with targets() as all_of_them:
        for target in all_of_them.values():
            assert counted(target, inputs=200, seed=1).failure is None


def test_what_the_osdp_line_begins_with_passes() -> None:
    """A seed that is dropped for its CRC would never get as far as what is looked at behind it."""
    assert [osdp_line.passed(seed) for seed in osdp_line.GOOD] == [*osdp_line.GOOD]
    assert {seed for seed in osdp_line.SEEDS if osdp_line.passed(seed)} >= {*osdp_line.GOOD}
