"""Which faults are told, when, and when they are told to be over."""

from __future__ import annotations

import pytest

from doorctl.core.alarms import KINDS
from doorctl.doord.watchdog import DAY_S, FAULTS, LastingFaults


class Watch:
    """Faults, and what was told of them."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._faults = LastingFaults(lambda kind, _why: self.told.append(kind))

    def see(self, now_s: float, **found: str | None) -> None:
        """Look once."""
        self._faults.see(found, now_s)


@pytest.mark.parametrize("kind", FAULTS)
def test_both_ends_are_on_the_list_of_alarms(kind: str) -> None:
    """Whoever is called has a sentence on what to do, and hears that it is over."""
    assert kind in KINDS
    assert KINDS[f"{kind}_cleared"].clears == kind


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_told_once_it_has_lasted_and_once_a_day(kind: str) -> None:
    """Not before, not at each look, and again while nothing is done about it."""
    watch, lasts_s = Watch(), FAULTS[kind].lasts_s
    watch.see(0.0, **{kind: "why"})
    watch.see(lasts_s - 0.1, **{kind: "why"})
    assert watch.told == ([] if lasts_s else [kind])

    watch.see(lasts_s, **{kind: "why"})
    watch.see(lasts_s + 60.0, **{kind: "why"})
    assert watch.told == [kind]

    watch.see(lasts_s + DAY_S, **{kind: "why"})
    assert watch.told == [kind, kind]


def test_a_cable_that_is_pushed_in_again_at_once_is_nobodys_call() -> None:
    """What is over before it is told has no end to tell either, and begins afresh."""
    watch = Watch()
    watch.see(0.0, reader_lost="why")
    watch.see(19.0, reader_lost=None)
    watch.see(20.0, reader_lost="why")
    watch.see(39.0, reader_lost="why")
    assert watch.told == []


def test_the_end_is_told_once() -> None:
    """And the next time is told like the first."""
    watch = Watch()
    for now_s, why in ((0.0, "why"), (20.0, "why"), (30.0, None), (31.0, None), (40.0, "why")):
        watch.see(now_s, reader_lost=why)
    assert watch.told == ["reader_lost", "reader_lost_cleared"]

    watch.see(60.0, reader_lost="why")
    assert watch.told[2:] == ["reader_lost"]


def test_what_is_not_known_stays_as_it_was() -> None:
    """A disk that does not say how full it is has not become emptier."""
    watch = Watch()
    watch.see(0.0, disk_low="why")
    watch.see(1.0)
    assert watch.told == ["disk_low"]
