"""Choosing the states, and judging them on all cores."""

from __future__ import annotations

import mmap
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.tracing import spread
from tests.powercut.cuts import Boundaries, Cut, Kind, Write, writes
from tests.powercut.guest import BLOCK_BYTES, tool
from tests.powercut.model import Model, Oracle

# A disk as a cut left it, and the files that are on it once its journal has been replayed.

FOLDER = "branch"
"""Where the workload's files are on the disk."""

_EMPTY = bytes(BLOCK_BYTES)
_CORRECTED = 1
"""`e2fsck`'s exit code once it has replayed the journal or freed what was deleted but open."""


class Disk:
    """Goes through the states of a log; each is cheap if it is not before the one before.

    `before`: the disk before the first write; `work`: a directory in memory, for one disk at a
    time.
    """

    def __init__(self, before: Path, entries: Sequence[Write], work: Path) -> None:
        self._entries = entries
        self._bytes = bytearray(before.read_bytes())
        self._done = 0
        self._image = work / "disk"
        self.said = ""
        blocks = range(len(self._bytes) // BLOCK_BYTES)
        self._used = {number for number in blocks if self._block(number) != _EMPTY}

    def files(self, cut: Cut, into: Path) -> bool:
        """Copy the branch's files into a directory, as a folder; there is none if there were none.

        Args:
            cut: the state; not one of an earlier `since` than the last one.
            into: an empty directory.

        Returns:
            Whether the file system's own tool could put it right, as the kernel does at a mount;
            else `said` is what it said last.
        """
        self._go_to(cut.since)
        self._make(cut)
        done = _run(["e2fsck", "-fy", str(self._image)])
        if done.returncode > _CORRECTED:
            lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
            self.said = f"{done.returncode}, {' / '.join(filter(None, lines[-8:]))}"
            return False
        _run(["debugfs", "-R", f"rdump /{FOLDER} {into}", str(self._image)])
        return True

    def _go_to(self, since: int) -> None:
        if since < self._done:
            raise ValueError("a disk does not go back")
        for entry in self._entries[self._done : since]:
            self._bytes[entry.at : entry.at + len(entry.data)] = entry.data
            self._used.update(_blocks(entry))
        self._done = since

    def _make(self, cut: Cut) -> None:
        # A new file each time, with holes: the tool writes where it likes.
        self._image.unlink(missing_ok=True)
        descriptor = os.open(self._image, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, len(self._bytes))
            view = memoryview(self._bytes)
            for first, last in _runs(sorted(self._used)):
                place = first * BLOCK_BYTES
                os.pwrite(descriptor, view[place : last * BLOCK_BYTES], place)
            for number, sectors in cut.kept:
                _put(descriptor, self._entries[number], sectors)
        finally:
            os.close(descriptor)

    def _block(self, number: int) -> bytes:
        return bytes(self._bytes[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])


def _put(descriptor: int, entry: Write, sectors: Sequence[int] | None) -> None:
    if sectors is None:
        os.pwrite(descriptor, entry.data, entry.at)
        return
    for sector in sectors:
        place = sector * entry.sector
        os.pwrite(descriptor, entry.data[place : place + entry.sector], entry.at + place)


def _blocks(entry: Write) -> range:
    end = entry.at + len(entry.data)
    return range(entry.at // BLOCK_BYTES, -(-end // BLOCK_BYTES))


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return stretches, each from its first number to the one behind its last."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([tool(command[0]), *command[1:]], capture_output=True, check=False)


SEED = 1
CHUNK = 250
"""States that a process judges before it tells: a fraction of a minute."""

_MEMORY = Path("/dev/shm")  # noqa: S108 -- each run makes a directory of its own in it


@dataclass
class Judged:
    """What came of some states.

    `states`: how many of each kind; `violations`: what is wrong, at which state; `seconds`: that it
    took.
    """

    states: Counter[Kind] = field(default_factory=Counter)
    violations: list[tuple[Kind, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Judged) -> None:
        """Take in what came of others."""
        self.states.update(other.states)
        self.violations += other.violations


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run of the guest.

    `before`: the disk before it; `log`: what was written; `model`: what may stand in the files.
    """

    before: Path
    log: Path
    model: Model

    def entries(self) -> list[Write]:
        """Return the log's entries; they are valid as long as the process runs."""
        with self.log.open("rb") as file:
            return list(writes(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))))


def chosen(entries: Sequence[Write], count: int) -> list[Cut]:
    """Return so many states of a log, half of them boundaries in order, and no one twice."""
    boundaries = Boundaries(entries)
    in_order = list(boundaries.in_order())
    random = Random(SEED)  # noqa: S311 -- the same states each time
    cuts = spread(in_order, -(-count // 2))
    drawn: set[Cut] = set()
    tries = 0
    while len(cuts) + len(drawn) < count and tries < 20 * count:
        tries += 1
        other = boundaries.reordered(random.choice(in_order), random)
        if other is not None:
            drawn.add(other)
    return sorted([*cuts, *drawn], key=lambda cut: (cut.since, cut.at))


def judged(recorded: Recorded, cuts: Sequence[Cut], jobs: int) -> Iterator[Judged]:
    """Judge states on so many cores; yield what came of some at a time."""
    with ProcessPoolExecutor(jobs) as processes:
        parts = [cuts[place : place + CHUNK] for place in range(0, len(cuts), CHUNK)]
        for done in as_completed([processes.submit(_judge, recorded, part) for part in parts]):
            yield done.result()


def _judge(recorded: Recorded, cuts: Sequence[Cut]) -> Judged:
    start = time.monotonic()
    entries = recorded.entries()
    found = Judged()
    with tempfile.TemporaryDirectory(prefix="doorctl-powercut-", dir=_memory()) as name:
        work = Path(name)
        disk = Disk(recorded.before, entries, work)
        oracle = Oracle(recorded.model, work)
        marks = _counted(entries)
        for cut in cuts:
            found.states[cut.kind] += 1
            with _found_on(disk, cut, work) as files:
                gives_up = [f"e2fsck gives up: {disk.said}"]
                wrong = gives_up if files is None else oracle.judge(files, marks[cut.at])
            found.violations += [(cut.kind, f"before write {cut.at}: {each}") for each in wrong]
    found.seconds = time.monotonic() - start
    return found


@contextmanager
def _found_on(disk: Disk, cut: Cut, work: Path) -> Iterator[Path | None]:
    with tempfile.TemporaryDirectory(prefix="files-", dir=work) as name:
        into = Path(name)
        yield into / FOLDER if disk.files(cut, into) else None


def _counted(entries: Sequence[Write]) -> list[int]:
    """Return how many acknowledgements there were before each entry, and before the end."""
    counted, highest = [0], 0
    for entry in entries:
        if entry.mark.isdigit():
            highest = int(entry.mark)
        counted.append(highest)
    return counted


def _memory() -> Path | None:
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None
