"""What a soak has come to: a table, and all that was wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.sampling import Growth, Sample, growths, wal_growth
from tests.soak.visits import Tally

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
    disk: str
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
        ("disk full", f"{len(run.full)} times: {run.disk}"),
        ("not on record, disk full", f"{excused}"),
        ("troubles, disk full", f"{len(run.troubles) - troubles}"),
    ]


def _line(row: Growth) -> str:
    return f"{row.what:<28}{row.first:>12,.0f}{row.last:>12,.0f}{row.per_min:>+12.1f}  {row.wrong}"
