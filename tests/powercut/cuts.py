"""Which states a disk can be in when the power goes: cuts, lost writes, torn writes. Pure.

What was written since the last flush may be there or not, in any order, and one sector of a write
without the next. What was flushed, and what was written through (FUA), is there; only a disk that
lies has not got that either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.powercut.writes import Write

LOST_SHARE = 0.5
TORN_SHARE = 0.1


class Kind(Enum):
    """How the disk lost its power."""

    IN_ORDER = "in order"
    """All that was written before the cut is there."""

    REORDERED = "reordered"
    """Some of what was not flushed is not."""

    TORN = "reordered and torn"
    """As before, and of some writes not all sectors are there."""

    LYING = "lying about flushes"
    """Some of the last writes are not there, flushed or not. No file system promises anything."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One state.

    Args:
        kind: how it came about.
        at: the cut is before this entry of the log.
        since: all entries before this one are on the disk.
        kept: of those from there to the cut, the ones that are, with their sectors; None for all.
    """

    kind: Kind
    at: int
    since: int
    kept: tuple[tuple[int, tuple[int, ...] | None], ...]


class Boundaries:
    """The places in a log at which the power can go."""

    def __init__(self, entries: Sequence[Write]) -> None:
        self._entries = entries
        # Where the last flush before each entry, and before the end, is: what stands before lasts.
        self._flushed = list(_flushed(entries))

    def in_order(self) -> Iterator[Cut]:
        """Yield one cut before each write, and one at the end.

        A mark or a flush alone changes nothing on the disk, so the cut is as late as can be: what
        was acknowledged meanwhile must be there.
        """
        places = [number for number, entry in enumerate(self._entries) if entry.data]
        for at in [*places[1:], len(self._entries)]:
            yield self._whole(at)

    def reordered(self, cut: Cut, random: Random) -> Cut | None:
        """Return the same cut with some writes lost or torn.

        Returns:
            None where nothing, or nothing but the last write, is at stake: then it would be a
            state that another cut has in order.
        """
        at_stake = [
            number
            for number, _ in cut.kept
            if self._entries[number].data and not self._entries[number].lasts
        ]
        if len(at_stake) < 2:
            return None
        return self._drawn(cut, set(at_stake), random)

    def lying(self, cut: Cut, last: int, random: Random) -> Cut:
        """Return the same cut on a disk whose last so many writes are lost with even odds."""
        places = [number for number in range(cut.at) if self._entries[number].data]
        at_stake = places[-last:]
        since = min(at_stake, default=cut.at)
        kept = tuple((number, None) for number in at_stake if random.random() >= LOST_SHARE)
        return Cut(Kind.LYING, cut.at, since, kept)

    def _whole(self, at: int) -> Cut:
        since = self._flushed[at]
        return Cut(Kind.IN_ORDER, at, since, tuple((n, None) for n in range(since, at)))

    def _drawn(self, cut: Cut, at_stake: set[int], random: Random) -> Cut:
        kept: list[tuple[int, tuple[int, ...] | None]] = []
        torn = False
        for number, _ in cut.kept:
            if number not in at_stake:
                kept.append((number, None))
            elif random.random() >= LOST_SHARE:
                sectors = _torn(self._entries[number], random)
                torn = torn or sectors is not None
                kept.append((number, sectors))
        return Cut(Kind.TORN if torn else Kind.REORDERED, cut.at, cut.since, tuple(kept))


def _flushed(entries: Sequence[Write]) -> Iterator[int]:
    since = 0
    yield since
    for number, entry in enumerate(entries):
        if entry.flushes:
            since = number
        yield since


def _torn(entry: Write, random: Random) -> tuple[int, ...] | None:
    count = len(entry.data) // entry.sector
    if count < 2 or random.random() >= TORN_SHARE:
        return None
    return tuple(sector for sector in range(count) if random.random() >= LOST_SHARE)
