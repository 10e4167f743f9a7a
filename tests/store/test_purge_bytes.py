"""After each day's purge no byte of an expired visit is in any file; read from the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from sqlite_utils import Database

from doorctl.access.reasons import Reason
from doorctl.access.throttle import CardThrottle
from doorctl.moments import BootTime, ClockState, Moment
from doorctl.privacy.retention import purge
from doorctl.store.visits import VisitStore, create_visits
from tests.store.samples import DAY, NOON, files_of, key_of, stamped

DAYS = 146
VISITS_A_DAY = 30
RETENTION = timedelta(days=30)


def test_months_of_daily_purges_leave_nothing_expired(tmp_path: Path) -> None:
    """Every day: visits, a purge, a restart, then a search of all raw bytes for expired keys."""
    path = tmp_path / "visits.db"
    create_visits(path)
    random = Random(30)  # noqa: S311 -- a simulation that must repeat
    last_seen: dict[bytes, datetime] = {}
    gone: set[bytes] = set()
    store = VisitStore(path)
    for day in range(DAYS):
        for _ in range(VISITS_A_DAY):
            _visit(store, day, random, last_seen)
        if day % 2:  # Every other day the file is purged by a process that has just started.
            store.close()
            store = VisitStore(path)
        now = NOON + day * DAY
        report = purge(store, Moment(now, now, ClockState.TRUSTED), _boot(now, day), RETENTION)
        assert report.complete
        expired = [key for key, seen in last_seen.items() if seen < now - RETENTION]
        for key in expired:
            del last_seen[key]
        gone.update(expired)
        gone.difference_update(last_seen)
        whole = day % 73 == 72  # The search for every key so far takes a while.
        _assert_absent(
            tmp_path, gone if whole else expired, present=last_seen.keys() if whole else ()
        )
    store.close()


def _visit(store: VisitStore, day: int, random: Random, last_seen: dict[bytes, datetime]) -> None:
    at = NOON + day * DAY - timedelta(minutes=random.randrange(600))
    # Some patrons come again within the month, most cards are never seen a second time.
    key = key_of(random.randrange(60) if random.random() < 0.3 else random.getrandbits(62))
    boot = _boot(at, day)
    attempt = store.last_attempt() + 1
    store.open_attempt(attempt, stamped(at, boot), key, CardThrottle(1, boot))
    if random.random() < 0.3:
        store.close_attempt(attempt, Reason.OK, key, CardThrottle())
    last_seen[key] = max(at, last_seen.get(key, at))


def _boot(at: datetime, day: int) -> BootTime:
    began = NOON + day * DAY - timedelta(hours=12)
    return BootTime(f"boot-{day}", (at - began) // timedelta(milliseconds=1))


def _assert_absent(directory: Path, expired: Iterable[bytes], *, present: Iterable[bytes]) -> None:
    everything = b"".join(files_of(directory).values())
    assert not [key for key in expired if key in everything]
    assert all(key in everything for key in present)


def test_a_purge_is_seen_by_whoever_opens_the_file_next(tmp_path: Path) -> None:
    """sqlite-utils before 3.39.1 left deletions uncommitted: a reopened file had them back."""
    path = tmp_path / "visits.db"
    create_visits(path)
    with closing(VisitStore(path)) as store:
        for attempt in range(1, 11):
            store.open_attempt(attempt, stamped(), key_of(attempt), None)
        store.delete_before(NOON + DAY)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM attempts").fetchone() == (0,)

    with closing(Database(path, execute_plugins=False)) as reopened:
        assert reopened["attempts"].count == 0
