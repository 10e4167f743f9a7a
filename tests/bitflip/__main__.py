"""``python -m tests.bitflip --n 10000``: a door whose databases have one wrong bit each time.

Bug (`tests.bitflip`): one wrong bit in the write-ahead log of `branch.db` took back a ban that was
written before a power cut.
"""

from __future__ import annotations

import secrets
import struct
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click

from tests.bitflip.house import House

# Which bits of a database there are to flip: its pages by kind, and its write-ahead log.

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


SLOWER_S = 10.0
"""Longest that the two starts may take more than on whole files, on a machine that is busy."""

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a hundred commits a trial


@click.command()
@click.option("--n", default=80, show_default=True, help="Flips; in full, 10000.")
@click.option("--processes", default=2, show_default=True, help="So many of them by real ones.")
@click.option("--seed", type=int, help="Of the flips; a fresh one by default.")
def bitflip(n: int, processes: int, seed: int | None) -> None:
    """Flip a bit of a database, start door and web on it, and let everybody come.

    Exit 1 if one of them does not start, or if somebody comes in who may not.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    chance = Random(seed)  # noqa: S311 - no secret
    kinds: Counter[str] = Counter()
    wrong = 0
    parent = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as root:
        house = House(Path(root))
        house.restored(house.states[0])
        most_s = house.ready_s() + SLOWER_S if processes else 0.0
        for number in range(n):
            files = chance.choice(house.states)
            flip = drawn(files, chance)
            kinds[f"{flip.file} {flip.kind}"] += 1
            trouble = _tried(house, flip.done(files), most_s if number < processes else 0.0)
            if trouble:
                wrong += 1
                click.echo(f"{flip}: {trouble}", err=True)
    for kind, count in sorted(kinds.items()):
        click.echo(f"{count:6} {kind}")
    click.echo(f"slowest start of door and web: {house.slowest_s:.1f} s")
    click.echo(f"{n} flips, {processes} by real processes, {wrong} wrong")
    sys.exit(bool(wrong))


def _tried(house: House, files: dict[str, bytes], most_s: float) -> str:
    house.restored(files)
    try:
        if not most_s:
            return ", ".join(house.wrongly_in())
        took_s = house.ready_s()
    except Exception:  # noqa: BLE001 - whatever it is, it would have ended the process
        return traceback.format_exc()
    return f"ready after {took_s:.1f} s" if took_s > most_s else ""


if __name__ == "__main__":
    bitflip()
