"""Reading on a disk where no -shm can be made: full or read-only, after a restart."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from doorctl.errors import StoreError
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.quarantine import set_aside_if_damaged
from doorctl.sync.guard import unguarded
from tests.store.samples import NOON, SEAL, key_of, sealed

LESS_THAN_A_SHM = 16_384


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond half a -shm."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LESS_THAN_A_SHM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cache of one patron, closed."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    _fill(path, 1)
    return path


@pytest.fixture
def cache(path: Path) -> Iterator[PatronCache]:
    """The reading side, not opened yet."""
    with closing(PatronCache(path, SEAL)) as cache:
        yield cache


def _fill(path: Path, number: int) -> None:
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        rows = [sealed(number, str(number))]
        writer.apply(rows, full=True, applied_at=NOON, minimum_age=15, guard=unguarded)


def test_a_full_disk_keeps_nobody_out(path: Path, cache: PatronCache) -> None:
    """The cache is checked and read, and its version stands still."""
    with full_disk():
        assert set_aside_if_damaged(path, NOON) is None
        assert cache.find(key_of(1)) == sealed(1, "1").patron
        assert cache.find(key_of(2)) is None
        assert cache.stamp().epoch == 1
        assert cache.version() == cache.version()


def test_a_push_is_seen_without_a_restart(path: Path, cache: PatronCache) -> None:
    """Once somebody writes, no decision uses the rows of before, and the version says so."""
    with full_disk():
        assert cache.find(key_of(1)) is not None
        before = cache.version()
    for number in (2, 3):
        _fill(path, number)
        assert cache.version() != before
        before = cache.version()

        assert cache.find(key_of(number)) is not None
        assert cache.find(key_of(number - 1)) is None


def test_a_commit_in_the_wal_is_not_overlooked(path: Path, cache: PatronCache) -> None:
    """Where the newest push can't be read nobody is let in by an older one."""
    with full_disk():
        assert cache.find(key_of(1)) is not None
    path.with_name("patrons.db-wal").write_bytes(bytes(100))

    with full_disk(), pytest.raises(StoreError, match="SHMSIZE"):
        cache.find(key_of(1))


def test_a_writer_that_ends_leaves_no_commit_in_the_wal(path: Path, cache: PatronCache) -> None:
    """Also under a door that reads: after a power cut on a full disk the file is all there is."""
    assert cache.find(key_of(1)) is not None
    _fill(path, 2)

    wal = path.with_name("patrons.db-wal")
    assert wal.exists()
    assert wal.stat().st_size == 0


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """What is not there can't be read either way."""
    with (
        closing(PatronCache(tmp_path / "nowhere" / "patrons.db", SEAL)) as cache,
        pytest.raises(StoreError, match="is missing; load the full feed"),
    ):
        cache.stamp()
