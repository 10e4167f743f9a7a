"""What a soak has come to: a table, and all that was wrong."""

from __future__ import annotations

import re
import sqlite3
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.soak.people import Tally

EVERY_S = 1.0
LEAST_SAMPLES = 20

LATE = 1
"""SQLite closes a file only when no lock of the process is left on it, and a thread of the control
socket ends when its asker hangs up: one more comes and goes. Two more in a quarter of the run are
a leak; the longer the run, the slower a leak is found."""

WAL_KIB = 8 * 1024
"""Twice what SQLite lets a write-ahead log grow to (1000 pages of 4 KiB) before it is used again
from its beginning: up to there a new one climbs."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process."""

    at_s: float
    rss_kib: int
    fds: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """A row of the table.

    `first`: its median, or its highest, in the third quarter of the run; `last`: the same in the
    last quarter; `per_min`: the fitted slope of the second half; `wrong`: what is wrong with it, or
    nothing.
    """

    what: str
    first: float
    last: float
    per_min: float
    wrong: str


class Sampler:
    """Looks at processes and write-ahead logs on a thread of its own, until it is left.

    `directory`: with the databases.
    """

    def __init__(self, processes: Mapping[str, int], directory: Path) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in processes}
        self.wals: dict[str, list[tuple[float, int]]] = {}
        self._processes = processes
        self._directory = directory
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            for name, pid in self._processes.items():
                if (sample := looked_at(pid)) is not None:
                    self.samples[name].append(sample)
            for wal in self._directory.glob("*-wal"):
                size = (time.monotonic(), wal.stat().st_size if wal.exists() else 0)
                self.wals.setdefault(wal.name, []).append(size)


def looked_at(pid: int) -> Sample | None:
    """Look at a process; None once it has ended."""
    process = Path(f"/proc/{pid}")
    try:
        status = (process / "status").read_text()
        fds = len(list((process / "fd").iterdir()))
    except OSError:
        return None
    fields = dict(re.findall(r"(VmRSS|Threads):\s+(\d+)", status))
    if "VmRSS" not in fields:
        return None
    return Sample(time.monotonic(), int(fields["VmRSS"]), fds, int(fields["Threads"]))


def growths(name: str, samples: Sequence[Sample], rss_kib_per_min: float) -> list[Growth]:
    """Judge a process: memory may move within a bound, descriptors and threads by :data:`LATE`.

    `rss_kib_per_min`: the steepest slope of its memory in the second half.
    """
    if len(samples) < LEAST_SAMPLES:
        return [Growth(name, 0, 0, 0, f"only {len(samples)} samples; run it for longer")]
    at_s = [sample.at_s for sample in samples]
    memory = _grown(f"{name}, RSS KiB", at_s, [sample.rss_kib for sample in samples])
    rows = [_judged(memory, memory.per_min > rss_kib_per_min, f"more than {rss_kib_per_min:g}/min")]
    for what, values in (
        ("descriptors", [sample.fds for sample in samples]),
        ("threads", [sample.threads for sample in samples]),
    ):
        row = _grown(f"{name}, {what}", at_s, values)
        rows.append(_judged(row, row.last > row.first + LATE, "more in the end than before"))
    return rows


def wal_growth(name: str, sizes: Sequence[tuple[float, int]]) -> Growth:
    """Judge a write-ahead log by its peaks above :data:`WAL_KIB`: it is a saw without a slope."""
    at_s = [at for at, _ in sizes]
    kib = [size / 1024 for _, size in sizes]
    third, fourth = _quarters(kib)
    row = Growth(f"{name}, KiB", max(third), max(fourth), slope_per_min(at_s, kib), "")
    return _judged(row, row.last > max(row.first, WAL_KIB), "its peaks grow")


def slope_per_min(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of a least-squares line through the second half."""
    half = len(values) // 2
    if len(set(at_s[half:])) < 2:
        return 0.0
    return statistics.linear_regression(at_s[half:], values[half:]).slope * 60


def _grown(what: str, at_s: Sequence[float], values: Sequence[float]) -> Growth:
    third, fourth = map(statistics.median, _quarters(values))
    return Growth(what, third, fourth, slope_per_min(at_s, values), "")


def _quarters(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    half = len(values) // 2
    middle = half + (len(values) - half) // 2
    return values[half:middle] or values, values[middle:] or values


def _judged(row: Growth, is_wrong: bool, what: str) -> Growth:
    return Growth(row.what, row.first, row.last, row.per_min, what) if is_wrong else row


AFTER_S = 5.0
"""After a full disk something may still fail for want of what was not written: it is tried again
within so long."""

OK = 200


@dataclass
class Run:
    """One soak.

    `tally`: of the visits; `pushes`: how they were answered; `pages`: how they were answered.
    """

    tally: Tally
    pushes: Counter[int]
    pages: Counter[int]
    replugs: int = 0
    purges: int = 0
    full: list[tuple[float, float]] = field(default_factory=list)
    troubles: list[tuple[float, str]] = field(default_factory=list)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    wals: Mapping[str, Sequence[tuple[float, int]]] = field(default_factory=dict)
    rows: Mapping[int, str] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)

    def judge(self, what: str, status: int) -> None:
        """Note an answer that is not 200."""
        if status != OK:
            self.troubles.append((time.monotonic(), f"a {what} was answered {status}"))

    def purged(self, done: subprocess.CompletedProcess[str]) -> None:
        """Note how a purge ended."""
        self.purges += 1
        if done.returncode:
            self.troubles.append((time.monotonic(), f"a purge failed: {done.stderr.strip()}"))

    def read(self, directory: Path) -> None:
        """Read the door log as it stands on the disk."""
        path = directory / "visits.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT attempt, reason FROM attempts").fetchall()
        self.rows = dict(found)

    def is_full(self, at_s: float) -> bool:
        """Tell whether the disk was full at a time, or a moment before."""
        return any(began - 1 <= at_s <= ended + AFTER_S for began, ended in self.full)


def told(run: Run, rss_kib_per_min: float) -> tuple[list[str], list[str]]:
    """Return the table's lines, and what is wrong; empty for nothing."""
    rows = [
        row for name in run.samples for row in growths(name, run.samples[name], rss_kib_per_min)
    ]
    rows += [wal_growth(name, sizes) for name, sizes in sorted(run.wals.items())]
    missing = [
        (number, at_s)
        for number, reason, at_s in run.tally.decided
        if run.rows.get(number) != reason
    ]
    excused = [number for number, at_s in missing if run.is_full(at_s)]
    troubles = [text for at_s, text in run.troubles if not run.is_full(at_s)]
    lines = [
        *(f"{name:<28}{value}" for name, value in _counts(run, len(excused), len(troubles))),
        "",
        f"{'':<28}{'3rd quarter':>12}{'4th quarter':>12}{'a minute':>12}",
        *map(_line, rows),
    ]
    failures = [
        *(f"{row.what}: {row.wrong}" for row in rows if row.wrong),
        *(f"a decision was wrong: {text}" for text in run.tally.wrong),
        *(f"a visit was lost: {text}" for text in run.tally.lost),
        *(
            f"attempt {number} is not on record as it was told"
            for number, at_s in missing
            if not run.is_full(at_s)
        ),
        *troubles,
        *(f"a process ended with {code}" for code in run.codes if code),
    ]
    return lines, failures


def _counts(run: Run, excused: int, troubles: int) -> list[tuple[str, str]]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in run.tally.reasons.most_common())
    return [
        ("decisions", f"{len(run.tally.decided):,} ({reasons})"),
        ("pushes, by answer", str(dict(run.pushes))),
        ("pages, by answer", str(dict(run.pages))),
        ("purges, proved", f"{run.purges}"),
        ("reader pulled out", f"{run.replugs}"),
        ("disk full", f"{len(run.full)} times"),
        ("not on record, disk full", f"{excused}"),
        ("troubles, disk full", f"{len(run.troubles) - troubles}"),
    ]


def _line(row: Growth) -> str:
    return f"{row.what:<28}{row.first:>12,.0f}{row.last:>12,.0f}{row.per_min:>+12.1f}  {row.wrong}"
