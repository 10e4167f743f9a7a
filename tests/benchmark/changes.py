"""From the last byte of a document of changes to its commit, in a full cache."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from doorctl.ops.clock import utc_now
from doorctl.store.connection import open_writer
from doorctl.store.patrons import to_record
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import unguarded
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.plan import Plan
from tests.benchmark.push import CHUNK_BYTES, SEAL, apply, document, insert_s, staging
from tests.benchmark.register import MINIMUM_AGE, random_rows

COMMITTED_MS = 50.0
"""From the last byte to the commit, for 1 000 rows among 100 000."""

TIMES = 5
"""Documents for each of the plan's pairs."""

NS_PER_S = 1_000_000_000


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time documents that renew the same rows, in pairs with raw puts of them into a copy."""
    work.mkdir(parents=True)
    ours, raw = work / "ours.db", work / "raw.db"
    for path in (ours, raw):
        _fill(path, plan.rows)
    rows = list(islice(random_rows(plan.rows), plan.changed))
    taken, floor = [], []
    # Both stay open, as in the web process: now and then a commit has to empty its WAL, too.
    with (
        closing(PatronCacheWriter(ours, SEAL)) as writer,
        closing(open_writer(raw)) as database,
    ):
        for epoch in range(2, 2 + TIMES * plan.pairs):
            taken.append(_receive_ns(writer, document(rows, "changes", epoch)))
            records = [to_record(row, epoch) for row in rows]
            floor.append(round(insert_s(database, records) * NS_PER_S))
    part = f"changes of {plan.changed:,} rows into {plan.rows:,}; floor: executemany"
    what, below = Spread.of_ns(taken), Spread.of_ns(floor)
    yield Figure(part, "last byte -> commit, p50", what.p50, "ms", what.n, below.p50, COMMITTED_MS)
    yield Figure(part, "last byte -> commit, max", what.longest, "ms", what.n, below.longest)


def _fill(path: Path, count: int) -> None:
    create_patrons(path, SEAL)
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        writer.apply(
            random_rows(count),
            full=True,
            applied_at=utc_now(),
            minimum_age=MINIMUM_AGE,
            guard=unguarded,
        )


def _receive_ns(writer: PatronCacheWriter, data: bytes) -> int:
    # As the web process does: what has come is checked while the rest is on its way.
    last = (len(data) - 1) // CHUNK_BYTES * CHUNK_BYTES
    with tempfile.TemporaryFile(dir=writer.path.parent) as spool:
        taking = staging(spool)
        for place in range(0, last, CHUNK_BYTES):
            taking.feed(data[place : place + CHUNK_BYTES])
        before = time.monotonic_ns()
        taking.feed(data[last:])
        apply(writer, taking.finish())
        return time.monotonic_ns() - before
