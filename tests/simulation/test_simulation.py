from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from doorctl.access import throttle
from tests.simulation.__main__ import failed_seeds, run, slices
from tests.simulation.disk import Disk, PowerCutError
from tests.simulation.oracle import BrokenError, must

A_WEEK = 7 / 365.25


def nothing() -> None:
    """Do nothing."""


def test_the_same_seed_is_the_same_story(tmp_path: Path) -> None:
    """A failure can be seen again: one seed gives one trace, and another seed another."""
    stories = [run(seed, A_WEEK, tmp_path / name) for seed, name in ((7, "a"), (7, "b"), (8, "c"))]

    assert [story.failure for story in stories] == ["", "", ""]
    assert stories[0].hash == stories[1].hash != stories[2].hash
    assert stories[0].counts == stories[1].counts


def test_a_broken_rule_is_told_with_its_number_and_how_to_see_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's failures that never wait break invariant 18, and the seed stands beside it."""
    monkeypatch.setattr(throttle.CardThrottle, "holds", lambda _self, _now: False)
    told = [run(seed, 3 * A_WEEK, tmp_path / str(seed)).failure for seed in range(4)]

    failure = next(text for text in told if text)
    assert "invariant 18" in failure
    assert "python -m tests.simulation --seed" in failure


def test_a_power_cut_keeps_what_was_committed_and_nothing_of_the_process(tmp_path: Path) -> None:
    """The files of the next life are those of the last, in a directory of their own."""
    disk = Disk(tmp_path / "disk", Random(1), nothing)  # noqa: S311 - no secret
    disk.path("visits.db").write_bytes(b"kept")
    before = disk.here
    with pytest.raises(PowerCutError):
        disk.cut()

    assert disk.here != before
    assert disk.path("visits.db").read_bytes() == b"kept"


def test_a_cut_can_come_at_any_call(tmp_path: Path) -> None:
    """The power goes after so many calls as were asked for, and not again after that."""
    disk = Disk(tmp_path / "disk", Random(1), nothing)  # noqa: S311 - no secret
    disk.cut_in = 2
    disk.strike("visits.db", "read")
    disk.strike("visits.db", "read")
    with pytest.raises(PowerCutError):
        disk.strike("visits.db", "read")
    disk.strike("visits.db", "read")

    assert disk.struck


def test_what_must_hold_is_told_by_its_number() -> None:
    """A broken invariant names the fact sheet's number."""
    with pytest.raises(BrokenError, match="invariant 9: gone") as broken:
        must(9, False, "gone")

    assert broken.value.number == 9


def test_a_run_begins_with_what_once_failed() -> None:
    """Failed seeds come first; the fresh ones are as many slices of two branch-years as asked."""
    plans = slices(1000, 15)
    kept = failed_seeds()

    assert plans[: len(kept)] == kept
    assert sum(years for _, years in plans[len(kept) :]) == 30
