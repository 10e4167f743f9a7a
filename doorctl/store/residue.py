"""Search raw bytes for thousands of byte strings at once, in a program of its own.

The reason is a trap: closing a file drops all POSIX locks that the process has on it, SQLite's too
(its "how to corrupt", section 2.2). The door would lose the lock by which another process knows
that the WAL is in use. A process that only searches has no lock to lose, and its memory and its
hold on Python's interpreter end with it.

``python -I -m doorctl.store.residue`` reads a :class:`Wanted` as JSON on standard input and writes
a :class:`Seen`. The byte strings are in no argument and come back only as numbers.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 8
"""Bytes that are compared at once, as one number. A key of 16 bytes covers one whole block wherever
it stands, so 1.5 MB take 10 ms and not the quarter of a second of looking at every byte."""

KEY_BYTES = 16
TIME_BYTES = 6
_CARRIED_BYTES = 2 * BLOCK_BYTES
"""Bytes of the chunk before, so that a needle across two is found; keeps blocks aligned."""

BATCH = 10_000
"""Keys looked for in one reading: their blocks take some 10 MB."""

NICENESS = 10
"""Below the door and web; with 19 a search of half a second took 30 s on a busy machine."""


class Wanted(msgspec.Struct, frozen=True):
    """A request: needles in hex, each a row key of 16 bytes or a time of 6, and paths.

    A file that is missing is left out.
    """

    needles: list[str]
    files: list[str]

    def __repr__(self) -> str:
        return f"Wanted({len(self.needles)})"


class Seen(msgspec.Struct, frozen=True):
    """The answer: the found needles' places in :class:`Wanted`, and what was read."""

    found: list[int]
    bytes_read: int
    files: list[str]


Finder = Callable[[bytes], set[bytes]]


def found_in(files: Iterable[Path], needles: Iterable[bytes]) -> tuple[set[bytes], int, list[str]]:
    """Return the needles found in any of the files, the bytes read, and the names of files read.

    Raises:
        OSError: a file that exists could not be read.
        ValueError: a needle has an unknown length.
    """
    finders = _finders(sorted(needles))
    found: set[bytes] = set()
    bytes_read, names = 0, []
    for path in files:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            for finder in finders:
                file.seek(0)
                found.update(*map(finder, _chunks(file)))
            bytes_read += file.seek(0, os.SEEK_END)
        names.append(path.name)
    return found, bytes_read, names


def main() -> None:
    """Answer one request, at a low priority."""
    # The door's unit may forbid it: then the search is as important as a purge.
    with suppress(OSError):
        os.nice(NICENESS)
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    needles = [bytes.fromhex(needle) for needle in wanted.needles]
    files = map(Path, wanted.files)
    found, bytes_read, names = found_in(files, needles)
    places = [place for place, needle in enumerate(needles) if needle in found]
    sys.stdout.buffer.write(msgspec.json.encode(Seen(places, bytes_read, names)))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    carried = b""
    while chunk := file.read(CHUNK_BYTES):
        yield carried + chunk
        carried = chunk[-_CARRIED_BYTES:] if len(chunk) == CHUNK_BYTES else b""


def _finders(needles: Sequence[bytes]) -> list[Finder]:
    keys = [needle for needle in needles if len(needle) == KEY_BYTES]
    times = {needle for needle in needles if len(needle) == TIME_BYTES}
    if len(keys) + len(times) != len(set(needles)):
        raise ValueError(f"a needle is {KEY_BYTES} or {TIME_BYTES} bytes long")
    batches = (keys[first : first + BATCH] for first in range(0, len(keys), BATCH))
    finders = [_key_finder(batch) for batch in batches]
    return [*finders, _time_finder(times)] if times else finders


def _key_finder(keys: Sequence[bytes]) -> Finder:
    blocks = {
        int.from_bytes(key[first : first + BLOCK_BYTES], sys.byteorder): key
        for key in keys
        for first in range(BLOCK_BYTES)
    }
    shared = _shared_blocks(keys, blocks)

    def find(chunk: bytes) -> set[bytes]:
        whole = len(chunk) // BLOCK_BYTES * BLOCK_BYTES
        met = blocks.keys() & set(memoryview(chunk)[:whole].cast("Q"))
        suspects = {key for block in met for key in (blocks[block], *shared.get(block, ()))}
        return {key for key in suspects if key in chunk}

    return find


def _shared_blocks(keys: Iterable[bytes], blocks: dict[int, bytes]) -> dict[int, list[bytes]]:
    """Return the blocks that several keys share; those of real keys never do."""
    shared: dict[int, list[bytes]] = {}
    for key in keys:
        for first in range(BLOCK_BYTES):
            block = int.from_bytes(key[first : first + BLOCK_BYTES], sys.byteorder)
            if blocks[block] != key:
                shared.setdefault(block, []).append(key)
    return shared


def _time_finder(times: set[bytes]) -> Finder:
    # All times of seven weeks begin with the same two bytes: few places have to be looked at.
    beginnings = b"|".join(re.escape(two) for two in sorted({time[:2] for time in times}))
    pattern = re.compile(b"(?=((?:" + beginnings + b").{4}))", re.DOTALL)

    def find(chunk: bytes) -> set[bytes]:
        return {match[1] for match in pattern.finditer(chunk)} & times

    return find


if __name__ == "__main__":
    main()
