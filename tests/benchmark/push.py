"""A push applied by the one writer, changes, and the purge of a full log: each beside its SQL."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, Patron, SealedRow
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.ops.clock import utc_now
from doorctl.store.connection import open_writer, transaction
from doorctl.store.patrons import COLUMNS, to_record
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.tables import to_ms
from doorctl.store.visit_purge import purge
from doorctl.store.visits import VisitStore, create_visits
from doorctl.sync.document import Kind
from doorctl.sync.receive import Staged, Staging
from doorctl.sync.wire import Line, Removal
from tests.benchmark.figures import Figure, Plan, Spread
from tests.benchmark.register import MINIMUM_AGE, random_rows
from tests.fakes.cards import replace_rows
from tests.sync.pushes import SEAL, USUAL_TERMS, Document, fed, receive

OF_RAW = 2.0
"""The design's budget: times `sqlite3.executemany` of the same rows."""

CHUNK_BYTES = 64 * 1024
"""What the web process's server hands on at once."""

_FIELDS = f"row_key, {COLUMNS}, epoch, key_sum"
INSERT = (
    f"INSERT OR REPLACE INTO patrons ({_FIELDS}) "  # noqa: S608 -- names only
    f"VALUES ({', '.join('?' * len(_FIELDS.split(',')))})"
)


def push(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time pairs on fresh databases of the same schema and pragmas, then once more over them."""
    rows = list(random_rows(plan.rows))
    pairs = [_pair(work / f"push-{number}", rows) for number in range(plan.pairs)]
    part = (
        f"push of {plan.rows:,} rows, verified, applied; floor: executemany of tuples made before"
    )
    for place, what in enumerate(("into an empty cache", "the same rows again")):
        ours = [pair[place][0] for pair in pairs]
        raw = [pair[place][1] for pair in pairs]
        ratio = statistics.median(one / other for one, other in zip(ours, raw, strict=True))
        seconds = statistics.median(ours)
        yield Figure(part, what, seconds, "s", plan.pairs, statistics.median(raw))
        yield Figure(part, f"{what}, of the floor", ratio, "x", plan.pairs, budget=OF_RAW)


def document(rows: Sequence[Line], kind: Kind, epoch: int) -> bytes:
    """Return the bytes of a push that follows on the one before."""
    return Document(rows, kind, epoch=epoch, previous_epoch=epoch - 1).data()


def staging(spool: BinaryIO) -> Staging:
    """Return what takes such a push in."""
    return Staging(USUAL_TERMS, lambda: spool)


def apply(writer: PatronCacheWriter, staged: Staged) -> None:
    """Apply a push that was verified, whatever it changes."""
    receive(staged, writer, USUAL_TERMS, at=utc_now())


def insert_s(database: sqlite3.Connection, records: Sequence[tuple[object, ...]]) -> float:
    """Return how many seconds one transaction takes that does nothing but put rows."""
    before = time.monotonic()
    with transaction(database) as connection:
        connection.executemany(INSERT, records)
    return time.monotonic() - before


def _pair(directory: Path, rows: Sequence[SealedRow]) -> list[tuple[float, float]]:
    directory.mkdir(parents=True)
    ours, raw = directory / "ours.db", directory / "raw.db"
    create_patrons(ours, SEAL)
    create_patrons(raw, SEAL)
    times = [
        (
            _apply_s(ours, document(rows, "snapshot", epoch)),
            _insert_s(raw, [to_record(row, epoch) for row in rows]),
        )
        for epoch in (1, 2)
    ]
    _check_same(ours, raw)
    return times


def _apply_s(path: Path, data: bytes) -> float:
    with (
        tempfile.TemporaryFile(dir=path.parent) as spool,
        closing(PatronCacheWriter(path, SEAL)) as writer,
    ):
        staged = fed(staging(spool), data, CHUNK_BYTES).finish()
        before = time.monotonic()
        apply(writer, staged)
        return time.monotonic() - before


def _insert_s(path: Path, records: Sequence[tuple[object, ...]]) -> float:
    with closing(open_writer(path)) as database:
        return insert_s(database, records)


def _check_same(ours: Path, raw: Path) -> None:
    contents = []
    for path in (ours, raw):
        with closing(open_writer(path)) as database:
            contents.append(database.execute(f"SELECT {_FIELDS} FROM patrons").fetchall())  # noqa: S608 -- names
    assert contents[0] == contents[1], "both ways must leave the same rows"


CHANGES_OF_RAW = 2.5
"""The design's budget for changes, of 1 000 rows among 100 000."""

GROWTH = 1.5
"""The design's budget: times the processor's time, among 1 000 000 rows of that among 10 000."""

TIMES = 5
"""Documents for each of the plan's pairs."""

FEW = 10
"""Lines of a document of a few changes: rows that change, a new card and a removal."""

NS_PER_S = 1_000_000_000


def changes(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time documents that change the same rows, in pairs with raw puts of them into a copy."""
    work.mkdir(parents=True)
    yield from _many_changes(plan, work)
    yield from _few_changes(plan, work)


def _many_changes(plan: Plan, work: Path) -> Iterator[Figure]:
    ours, raw = work / "ours.db", work / "raw.db"
    for path in (ours, raw):
        _fill(path, plan.rows)
    taken, floor = [], []
    # Both stay open, as in the web process: now and then a commit has to empty its WAL, too.
    with closing(PatronCacheWriter(ours, SEAL)) as writer, closing(open_writer(raw)) as database:
        for epoch in range(2, 2 + TIMES * plan.pairs):
            rows = _changed(plan.rows, plan.changed, epoch)
            taken.append(_receive_ns(writer, document(rows, "changes", epoch)))
            records = [to_record(row, epoch) for row in rows]
            floor.append(round(insert_s(database, records) * NS_PER_S))
    part = f"changes of {plan.changed:,} rows into {plan.rows:,}; floor: executemany"
    what, below = Spread.of_ns(taken), Spread.of_ns(floor)
    ratio = statistics.median(one / other for one, other in zip(taken, floor, strict=True))
    yield Figure(part, "last byte -> commit, p50", what.p50, "ms", what.n, below.p50)
    yield Figure(part, "last byte -> commit, max", what.longest, "ms", what.n, below.longest)
    yield Figure(part, "of the floor", ratio, "x", what.n, budget=CHANGES_OF_RAW)


def _few_changes(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time the processor alone, among few rows and among many, which take turns."""
    sizes = (plan.rows // 10, plan.grown)
    pairs = [_few_of(work / f"{size}", size) for size in sizes]
    times = [next(pair) for _ in range(2 * TIMES * plan.pairs) for pair in pairs]
    part = f"changes of {FEW} rows, the processor's time; floor: executemany"
    medians = []
    for size, some in zip(sizes, (times[::2], times[1::2]), strict=True):
        taken, floor = zip(*some, strict=True)
        what, below = Spread.of_ns(taken), Spread.of_ns(floor)
        medians.append(what.p50)
        yield Figure(part, f"into {size:,}, p50", what.p50, "ms", what.n, below.p50)
    ratio = medians[1] / medians[0]
    yield Figure(part, "into many, of into few", ratio, "x", len(times), budget=GROWTH)


def _few_of(directory: Path, size: int) -> Iterator[tuple[int, int]]:
    """Yield what documents take among so many rows, one after the other, and their raw puts."""
    directory.mkdir()
    ours, raw = directory / "ours.db", directory / "raw.db"
    _fill(ours, size)
    shutil.copy(ours, raw)
    with closing(PatronCacheWriter(ours, SEAL)) as writer, closing(open_writer(raw)) as database:
        for epoch in count(2):
            rows = [*_changed(size, FEW - 2, epoch), _newcomer(epoch)]
            before = _newcomer(epoch - 1).patron.patron_ref
            data = document([*rows, Removal(before)], "changes", epoch)
            taken = _receive_ns(writer, data, time.process_time_ns)
            began = time.process_time_ns()
            insert_s(database, [to_record(row, epoch) for row in rows])
            yield taken, time.process_time_ns() - began


def _changed(size: int, many: int, epoch: int) -> list[SealedRow]:
    """Return the first of a register's rows, each otherwise than in the epoch before."""
    blocks = frozenset("W" if epoch % 2 else "")
    rows = islice(random_rows(size), many)
    return [replace(row, patron=replace(row.patron, blocks=blocks)) for row in rows]


def _newcomer(epoch: int) -> SealedRow:
    patron = Patron(f"new-{epoch}", pin_check=bytes(PIN_CHECK_BYTES), resident=True)
    return SealedRow(epoch.to_bytes(ROW_KEY_BYTES), patron)


def _fill(path: Path, size: int) -> None:
    create_patrons(path, SEAL)
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        replace_rows(writer, random_rows(size), utc_now(), MINIMUM_AGE)


def _receive_ns(
    writer: PatronCacheWriter, data: bytes, now_ns: Callable[[], int] = time.monotonic_ns
) -> int:
    # As the web process does: what has come is checked while the rest is on its way.
    last = (len(data) - 1) // CHUNK_BYTES * CHUNK_BYTES
    with tempfile.TemporaryFile(dir=writer.path.parent) as spool:
        taking = fed(staging(spool), data[:last], CHUNK_BYTES)
        before = now_ns()
        taking.feed(data[last:])
        apply(writer, taking.finish())
        return now_ns() - before


DAYS = 30
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOOT = BootTime("benchmark", 60_000)
RETENTION = timedelta(days=DAYS)
INSERT_VISIT = """
    INSERT INTO attempts (attempt, at_ms, clock, boot_id, boot_ms, row_key, verdict, reason)
    VALUES (?, ?, ?, ?, ?, ?, 'granted', 'ok')
"""


def purge_of_a_month(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time pairs of the purge and of bare DELETE, VACUUM and checkpoint."""
    each = plan.visits_per_day
    ours, raw = [], []
    for number in range(plan.pairs):
        ours.append(_timed(work / f"ours-{number}", each, _purge))
        raw.append(_timed(work / f"raw-{number}", each, _delete))
    part = f"purge of {DAYS} days x {each} visits and {each} expired ones"
    what = "median; floor: DELETE, VACUUM, checkpoint"
    yield Figure(part, what, statistics.median(ours), "s", plan.pairs, statistics.median(raw))


def _timed(directory: Path, each: int, work: Callable[[Path], float]) -> float:
    directory.mkdir(parents=True)
    path = directory / "visits.db"
    create_visits(path)
    _fill_log(path, each)
    return work(path)


def _fill_log(path: Path, each: int) -> None:
    oldest = NOW - RETENTION - timedelta(days=1)
    step = timedelta(days=1) / each
    times = [oldest + number * step for number in range((DAYS + 1) * each)]
    records = [
        (number, to_ms(at), ClockState.TRUSTED.value, "earlier", number, secrets.token_bytes(16))
        for number, at in enumerate(times, start=1)
    ]
    with closing(open_writer(path)) as database, transaction(database) as connection:
        connection.executemany(INSERT_VISIT, records)


def _purge(path: Path) -> float:
    moment = Moment(NOW, NOW, ClockState.TRUSTED)
    with closing(VisitStore(path)) as visits:
        before = time.monotonic()
        report = purge(visits, moment, BOOT, RETENTION)
        taken = time.monotonic() - before
    assert report.complete, "something kept traces of what was deleted alive"
    assert report.deleted, "nothing had expired"
    return taken


def _delete(path: Path) -> float:
    with closing(open_writer(path)) as database:
        before = time.monotonic()
        database.execute("DELETE FROM attempts WHERE at_ms < ?", (to_ms(NOW - RETENTION),))
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return time.monotonic() - before
