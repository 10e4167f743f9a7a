"""The log that the kernel's ``dm-log-writes`` keeps of a disk, as it stands there. Pure.

The format is that of ``drivers/md/dm-log-writes.c`` and the kernel's
``Documentation/admin-guide/device-mapper/log-writes.rst``: a superblock in the first sector, then
entries, each a sector of its own with its data behind it. A write is logged with the flush that
was asked for once it was done, before that flush's own entry: so what stands before a flush lasts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

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
