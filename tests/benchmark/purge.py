"""The purge of a full door log, and what its SQL alone takes."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.store.connection import open_writer, transaction
from doorctl.store.tables import to_ms
from doorctl.store.visit_purge import purge
from doorctl.store.visits import VisitStore, create_visits
from tests.benchmark.figures import Figure
from tests.benchmark.plan import Plan

DAYS = 30
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOOT = BootTime("benchmark", 60_000)
RETENTION = timedelta(days=DAYS)
INSERT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, 'granted', 'ok')"


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
    _fill(path, each)
    return work(path)


def _fill(path: Path, each: int) -> None:
    oldest = NOW - RETENTION - timedelta(days=1)
    step = timedelta(days=1) / each
    times = [oldest + number * step for number in range((DAYS + 1) * each)]
    records = [
        (number, to_ms(at), ClockState.TRUSTED.value, "earlier", number, secrets.token_bytes(16))
        for number, at in enumerate(times, start=1)
    ]
    with closing(open_writer(path)) as database, transaction(database) as connection:
        connection.executemany(INSERT, records)


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
