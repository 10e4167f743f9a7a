"""After each day's purge no byte of an expired visit is in any file; read from the disk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Reason
from doorctl.access.throttle import CardThrottle
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.holds import Hold, accepted
from doorctl.privacy.purge_proof import Canaries
from doorctl.store.residue import found_in
from doorctl.store.visit_purge import purge
from doorctl.store.visits import VisitStore, create_visits
from tests.store.samples import DAY, NOON, key_of, stamped

DAYS = 365
VISITS_A_DAY = 5
RETENTION = timedelta(days=30)
CANARIES = Canaries(InstallationKey(b"k" * 32))
INCIDENT, SETTLED = 150, 210
"""The days on which a hold begins, on the day before, and ends."""


def test_a_year_of_daily_purges_leaves_nothing_expired(tmp_path: Path) -> None:
    """Every day: visits, a purge, a restart, then a search of all raw bytes for what expired.

    Row keys, times and canaries, and what the door did without a card, in staff's own words; in the
    middle a hold keeps one day for two months.
    """
    path = tmp_path / "visits.db"
    create_visits(path)
    random = Random(30)  # noqa: S311 -- a simulation that must repeat
    last_seen: dict[bytes, datetime] = {}
    gone: set[bytes] = set()
    held: set[bytes] = set()
    store = VisitStore(path)
    for day in range(DAYS):
        seen = {_visit(store, day, random, last_seen) for _ in range(VISITS_A_DAY)}
        seen.add(_event(store, day, random, last_seen))
        held |= seen if day == INCIDENT - 1 else set()
        if day % 2:  # Every other day the file is purged by a process that has just started.
            store.close()
            store = VisitStore(path)
        now = NOON + day * DAY
        if day == INCIDENT:
            store.add_hold(_hold(now))
        moment = Moment(now, now, ClockState.TRUSTED)
        report = purge(store, moment, _boot(now, day), RETENTION, canaries=CANARIES)
        assert report.complete
        cutoff, holding = now - RETENTION, INCIDENT <= day < SETTLED
        spared = held if holding else set()
        expired = {key for key, seen in last_seen.items() if seen < cutoff} - spared
        for key in expired:
            del last_seen[key]
        gone = (gone | expired) - last_seen.keys()
        kept = store.canaries()
        outlives = holding and day - 30 > INCIDENT - 1
        assert len(kept) == min(day + 1, 31) + outlives
        _assert_absent(tmp_path, (report.traces | expired | CANARIES.expired(cutoff)) - kept)
        if day % 73 == 72:  # The search for every key so far takes a while.
            _assert_absent(tmp_path, gone)
            _assert_present(tmp_path, last_seen.keys() | kept)
    store.close()


def _hold(now: datetime) -> Hold:
    half = DAY / 2
    window = (now - DAY - half, now - half)
    asked = Hold(*window, "1", "a broken window", now + (SETTLED - INCIDENT) * DAY, "kirsten")
    return accepted(asked, Moment(now, now, ClockState.TRUSTED), RETENTION)


def _visit(store: VisitStore, day: int, random: Random, last_seen: dict[bytes, datetime]) -> bytes:
    at = NOON + day * DAY - timedelta(minutes=random.randrange(600))
    # Some patrons come again within the month, most cards are never seen a second time.
    key = key_of(random.randrange(60) if random.random() < 0.3 else random.getrandbits(62))
    boot = _boot(at, day)
    attempt = store.last_attempt() + 1
    store.open_attempt(Opened(attempt, stamped(at, boot), key, CardThrottle(1, boot)))
    if random.random() < 0.3:
        store.close_attempt(Closed(attempt, Reason.OK, key, CardThrottle()))
    last_seen[key] = max(at, last_seen.get(key, at))
    return key


def _event(store: VisitStore, day: int, random: Random, last_seen: dict[bytes, datetime]) -> bytes:
    at = NOON + day * DAY - timedelta(minutes=random.randrange(600))
    words = f"{random.getrandbits(60):016x}"
    store.add_events([(stamped(at, _boot(at, day)), "opened_by_staff", words, "lone")])
    last_seen[words.encode()] = at
    return words.encode()


def _boot(at: datetime, day: int) -> BootTime:
    began = NOON + day * DAY - timedelta(hours=12)
    return BootTime(f"boot-{day}", (at - began) // timedelta(milliseconds=1))


def _assert_absent(directory: Path, needles: Iterable[bytes]) -> None:
    found, bytes_read, _ = found_in(directory.iterdir(), needles)
    assert found == set()
    assert bytes_read > 0


def _assert_present(directory: Path, needles: Iterable[bytes]) -> None:
    assert found_in(directory.iterdir(), needles)[0] == set(needles)
