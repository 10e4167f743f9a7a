from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.powercut.cuts import Boundaries, Cut, Flag, Kind, Write
from tests.powercut.replay import chosen
from tests.powercut.test_writes import LOGS, data

SEEDS = st.integers(0, 100)


def seeded(seed: int) -> Random:
    """Return the same draws each time."""
    return Random(seed)  # noqa: S311 -- no secret


def volatile(entries: list[Write], at: int) -> set[int]:
    """Return the writes before a cut that nothing has made last, by counting back from it."""
    found = set()
    for number in range(at - 1, -1, -1):
        entry = entries[number]
        if entry.data and not entry.flushes and not entry.lasts:
            found.add(number)
        if entry.flushes:
            if entry.data and not entry.lasts:
                found.add(number)
            break
    return found


@given(LOGS)
def test_there_is_a_cut_at_each_write_and_it_has_all_before_it(entries: list[Write]) -> None:
    """In order: what stands before the cut is on the disk, and nothing behind it."""
    cuts = list(Boundaries(entries).in_order())

    assert len(cuts) == max(1, sum(bool(entry.data) for entry in entries))
    for cut in cuts:
        assert cut.at == len(entries) or entries[cut.at].data
        assert [*range(cut.since), *(number for number, _ in cut.kept)] == list(range(cut.at))


@given(LOGS, SEEDS)
def test_only_what_no_flush_covered_is_lost_or_torn(entries: list[Write], seed: int) -> None:
    """A harness that loses what was flushed or written through would find faults of its own."""
    boundaries = Boundaries(entries)
    for cut in boundaries.in_order():
        other = boundaries.reordered(cut, seeded(seed))
        if other is None:
            assert len(volatile(entries, cut.at)) < 2
            continue
        kept = dict(other.kept)
        there = {*range(other.since), *kept}
        assert {*range(cut.at)} - there <= volatile(entries, cut.at)
        assert {number for number, sectors in kept.items() if sectors is not None} <= volatile(
            entries, cut.at
        )


def test_writes_are_lost_and_torn_in_time() -> None:
    """Each of two writes is lost alone, both are, and one is torn within."""
    entries = [Write(0, data(1, 4), Flag.FLUSH), *(Write(0, data(n, 4), Flag(0)) for n in (2, 3))]
    boundaries = Boundaries(entries)
    (*_, last) = boundaries.in_order()
    random = seeded(1)

    found = [boundaries.reordered(last, random) for _ in range(200)]

    kept = {tuple(n for n, _ in cut.kept if n) for cut in found if cut}
    assert kept == {(), (1,), (2,), (1, 2)}
    assert {cut.kind for cut in found if cut} == {Kind.REORDERED, Kind.TORN}


def test_a_disk_that_lies_loses_what_was_flushed() -> None:
    """Of its last writes some are not there; all before them are."""
    entries = [Write(0, data(n), Flag.FLUSH | Flag.FUA) for n in range(40)]
    (*_, last) = Boundaries(entries).in_order()

    cut = Boundaries(entries).lying(last, 16, seeded(1))

    assert cut.since == 24
    assert 0 < len(cut.kept) < 16


@given(LOGS, st.integers(1, 60))
def test_no_state_is_counted_twice(entries: list[Write], count: int) -> None:
    """As many as are asked for where there are so many, sorted so that a disk never goes back."""
    cuts: list[Cut] = chosen(entries, count)

    assert len(set(cuts)) == len(cuts) <= count
    assert [cut.since for cut in cuts] == sorted(cut.since for cut in cuts)
