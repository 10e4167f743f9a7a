"""A push applied by the one writer, and the same rows by the least that SQLite needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from doorctl.ops.clock import utc_now
from doorctl.ports import SealedRow
from doorctl.store.connection import open_writer, transaction
from doorctl.store.patron_rows import to_record
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.sealing import Seal
from doorctl.sync.guard import unguarded
from tests.benchmark.figures import Figure
from tests.benchmark.plan import Plan
from tests.benchmark.register import MINIMUM_AGE, random_rows

OF_RAW = 2.0
"""The design's budget: times `sqlite3.executemany` of the same rows."""

SEAL = Seal("0badcafe", 64, 1)
INSERT = "INSERT OR REPLACE INTO patrons VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time pairs on fresh databases of the same schema and pragmas, then once more over them."""
    rows = list(random_rows(plan.rows))
    pairs = [_pair(work / f"push-{number}", rows) for number in range(plan.pairs)]
    part = f"push of {plan.rows:,} rows applied; floor: raw executemany of tuples made before"
    for place, what in enumerate(("into an empty cache", "the same rows again")):
        ours = [pair[place][0] for pair in pairs]
        raw = [pair[place][1] for pair in pairs]
        ratio = statistics.median(one / other for one, other in zip(ours, raw, strict=True))
        seconds = statistics.median(ours)
        yield Figure(part, what, seconds, "s", plan.pairs, statistics.median(raw))
        yield Figure(part, f"{what}, of the floor", ratio, "x", plan.pairs, budget=OF_RAW)


def _pair(directory: Path, rows: Sequence[SealedRow]) -> list[tuple[float, float]]:
    directory.mkdir(parents=True)
    ours, raw = directory / "ours.db", directory / "raw.db"
    create_patrons(ours, SEAL)
    create_patrons(raw, SEAL)
    times = [
        (_apply_s(ours, rows), _insert_s(raw, [to_record(row, epoch) for row in rows]))
        for epoch in (1, 2)
    ]
    _check_same(ours, raw)
    return times


def _apply_s(path: Path, rows: Sequence[SealedRow]) -> float:
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        before = time.monotonic()
        writer.apply(
            rows, full=True, applied_at=utc_now(), minimum_age=MINIMUM_AGE, guard=unguarded
        )
        return time.monotonic() - before


def _insert_s(path: Path, records: Sequence[tuple[object, ...]]) -> float:
    with closing(open_writer(path)) as database:
        before = time.monotonic()
        with transaction(database) as connection:
            connection.executemany(INSERT, records)
        return time.monotonic() - before


def _check_same(ours: Path, raw: Path) -> None:
    contents = []
    for path in (ours, raw):
        with closing(open_writer(path)) as database:
            contents.append(database.execute("SELECT * FROM patrons").fetchall())
    assert contents[0] == contents[1], "both ways must leave the same rows"
