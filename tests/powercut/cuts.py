"""The log that the kernel keeps of a disk, and the states that a power cut leaves it in. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag
from random import Random

# The log that the kernel's ``dm-log-writes`` keeps of a disk, as it stands there. Pure.
#
# The format is that of ``drivers/md/dm-log-writes.c`` and the kernel's
# ``Documentation/admin-guide/device-mapper/log-writes.rst``: a superblock in the first sector, then
# entries, each a sector of its own with its data behind it. A write is logged with the flush that
# was asked for once it was done, before that flush's own entry: what stands before a flush lasts.

MAGIC = 0x6A736677736872
VERSION = 1

SUPER = struct.Struct("<QQQI")
"""Magic number, version, number of entries, bytes in a sector."""

ENTRY = struct.Struct("<QQQQ")
"""First sector, number of sectors, flags, bytes of a mark's text."""


class Flag(IntFlag):
    """What the kernel says of an entry; of what it adds one day nothing is believed."""

    FLUSH = 1
    """All that stands before it is on the disk for good."""

    FUA = 2
    """It is on the disk for good itself."""

    DISCARD = 4
    MARK = 8
    METADATA = 16


@dataclass(frozen=True, slots=True)
class Write:
    """One entry.

    Args:
        at: the byte on the disk where it begins.
        data: what is written there; nothing for a mark, a discard or a flush alone.
        flags: what it is.
        mark: a mark's text.
        sector: bytes of which the disk writes all or none.
    """

    at: int
    data: memoryview
    flags: Flag
    mark: str = ""
    sector: int = 512

    @property
    def flushes(self) -> bool:
        """Whether all before it lasts."""
        return Flag.FLUSH in self.flags

    @property
    def lasts(self) -> bool:
        """Whether it lasts itself, flushed or not."""
        return Flag.FUA in self.flags


def writes(log: bytes | memoryview) -> Iterator[Write]:
    """Yield the entries of a log in their order.

    Args:
        log: the whole log's bytes; what stands behind the last entry is not looked at.

    Raises:
        ValueError: it is no such log, it is cut off, or it holds what this version doesn't know.
    """
    view = memoryview(log)
    if len(view) < SUPER.size:
        raise ValueError("the log is shorter than its superblock")
    magic, version, count, sector = SUPER.unpack_from(view)
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"no log of dm-log-writes: magic number {magic:x}, version {version}")
    if sector < 512 or sector & (sector - 1):
        raise ValueError(f"a sector can't have {sector} bytes")
    place = sector
    for number in range(count):
        if place + sector > len(view):
            raise ValueError(f"the log ends before entry {number} of {count}")
        write, place = _entry(view, place, sector)
        yield write


def _entry(view: memoryview, place: int, sector: int) -> tuple[Write, int]:
    first, sectors, bits, length = ENTRY.unpack_from(view, place)
    flags = Flag(bits)
    if bits & ~sum(Flag):
        raise ValueError(f"unknown flags {bits:#x}; this version of the log is not known")
    body = place + sector
    if Flag.MARK in flags:
        text = bytes(view[place + ENTRY.size : min(place + ENTRY.size + length, body)])
        return Write(0, view[:0], flags, text.rstrip(b"\0").decode("ascii"), sector), body
    if Flag.DISCARD in flags:
        return Write(first * sector, view[:0], flags, "", sector), body
    end = body + sectors * sector
    if end > len(view):
        raise ValueError("the log ends within an entry's data")
    return Write(first * sector, view[body:end], flags, "", sector), end


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
            since = self._flushed[at]
            yield Cut(Kind.IN_ORDER, at, since, tuple((n, None) for n in range(since, at)))

    def reordered(self, cut: Cut, random: Random) -> Cut | None:
        """Return the same cut with some writes lost or torn.

        None where nothing, or nothing but the last write, is at stake: then it would be a state
        that another cut has in order.
        """
        at_stake = [
            number
            for number, _ in cut.kept
            if self._entries[number].data and not self._entries[number].lasts
        ]
        if len(at_stake) < 2:
            return None
        return self._drawn(cut, set(at_stake), random)

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
