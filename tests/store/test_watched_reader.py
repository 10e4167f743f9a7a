"""What the door's loop asks of a file that somebody else holds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from doorctl.errors import StoreBusyError
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import create_branch
from doorctl.store.connection import BUSY_TIMEOUT_MS
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.watched_reader import LOOP_PATIENCE_MS, WatchedReader
from tests.store.samples import SEAL

LOOP_LIMIT_S = BUSY_TIMEOUT_MS / 1000 / 2
"""By then a call that has the patience of everybody else would still wait."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the whole file, as a backup or a repair by hand may."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        yield


def told_in_time(ask: Callable[[], object]) -> list[str]:
    """Return what went wrong, or nothing at all where the call still waits."""
    told = []

    def asked() -> None:
        try:
            ask()
        except StoreBusyError as err:
            told.append(str(err))

    thread = threading.Thread(target=asked)
    thread.start()
    thread.join(LOOP_LIMIT_S)
    seen = list(told)
    thread.join()
    return seen


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PatronCache]:
    """An empty cache."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    with closing(PatronCache(path, SEAL)) as cache:
        yield cache


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[BranchRecords]:
    """A branch without bans, passes or hours."""
    path = tmp_path / "branch.db"
    create_branch(path)
    with closing(BranchRecords(path)) as branch:
        yield branch


@pytest.mark.parametrize("which", ["cache", "branch"])
def test_the_loop_never_waits_for_a_version(which: str, request: pytest.FixtureRequest) -> None:
    """A file that is held counts as one that can't be read, and is read when it is let go."""
    store: PatronCache | BranchRecords = request.getfixturevalue(which)
    with held(store.path):
        (why,) = told_in_time(store.version)
    assert "in use by another process" in why

    assert store.version() == store.version()


def test_others_wait_for_longer_than_the_loop(cache: PatronCache) -> None:
    """Both the opening and each call after it have the patience that was asked for."""
    for patience_ms in (LOOP_PATIENCE_MS, BUSY_TIMEOUT_MS):
        reader = WatchedReader(cache.path, "cure", patience_ms=patience_ms)
        with closing(reader):
            found = reader.current().execute("PRAGMA busy_timeout").fetchone()
        assert found == (patience_ms,)
