"""Which bits of a database there are to flip: its pages by kind, and its write-ahead log."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

PAGE = 4096
HEADER = 100
KINDS = {2: "index interior", 5: "table interior", 10: "index leaf", 13: "table leaf"}
WAL = "-wal"

Files = Mapping[str, bytes]
"""Bytes by file name."""


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    file: str
    kind: str
    byte: int
    bit: int

    def done(self, files: Files) -> dict[str, bytes]:
        """Return the files with it flipped."""
        content = bytearray(files[self.file])
        content[self.byte] ^= 1 << self.bit
        return {**files, self.file: bytes(content)}


def places(files: Files) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return, by file and kind of page, from where to where there are bytes of it."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for name, content in files.items():
        if name.endswith(WAL):
            found[name, "wal"] = [(0, len(content))]
            continue
        free = _freelist(content)
        for page in range(len(content) // PAGE):
            begin = page * PAGE
            kind = _kind(content, page, free)
            if page == 0:
                found[name, "header"], begin = [(0, HEADER)], HEADER
            found.setdefault((name, kind), []).append((begin, (page + 1) * PAGE))
    return found


def drawn(files: Files, chance: Random) -> Flip:
    """Return a flip: each file as likely as another, and of each all kinds of pages."""
    by_place = places(files)
    file = chance.choice(sorted({file for file, _ in by_place}))
    kind = chance.choice(sorted(kind for of, kind in by_place if of == file))
    begin, end = chance.choice(by_place[file, kind])
    return Flip(file, kind, chance.randrange(begin, end), chance.randrange(8))


def _kind(content: bytes, page: int, free: frozenset[int]) -> str:
    if page == 0:
        return "schema"
    if page + 1 in free:
        return "freelist"
    return KINDS.get(content[page * PAGE], "overflow")


def _freelist(content: bytes) -> frozenset[int]:
    free: set[int] = set()
    (trunk,) = struct.unpack_from(">I", content, 32)
    while trunk:
        at = (trunk - 1) * PAGE
        following, leaves = struct.unpack_from(">II", content, at)
        free.update((trunk, *struct.unpack_from(f">{leaves}I", content, at + 8)))
        trunk = following
    return frozenset(free)
