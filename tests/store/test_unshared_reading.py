"""Reading on a disk where no -shm can be made: full or read-only, after a restart."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from tests.store.samples import NOON, SEAL, Cache, full_disk, push, sealed

LESS_THAN_A_SHM = 16_384
"""Half of one."""


@pytest.fixture
def cache(cache: Cache) -> Cache:
    """A cache of one patron, whose writer has ended; nobody has read it yet."""
    return cache.filled(sealed(1, "1"))


def test_a_full_disk_keeps_nobody_out(cache: Cache) -> None:
    """The cache is checked and read, and its version stands still."""
    with full_disk(LESS_THAN_A_SHM):
        assert set_aside_if_damaged(cache.path, NOON) is None
        assert cache.find(1) == sealed(1, "1").patron
        assert cache.find(2) is None
        assert cache.lookup.stamp().epoch == 1
        assert cache.lookup.version() == cache.lookup.version()


def test_a_push_is_seen_without_a_restart(cache: Cache) -> None:
    """Once somebody writes, no decision uses the rows of before, and the version says so."""
    with full_disk(LESS_THAN_A_SHM):
        assert cache.find(1) is not None
        before = cache.lookup.version()
    for number in (2, 3):
        cache.filled(sealed(number, f"{number}"))
        assert cache.lookup.version() != before
        before = cache.lookup.version()

        assert cache.find(number) is not None
        assert cache.find(number - 1) is None


def test_a_commit_in_the_wal_is_not_overlooked(cache: Cache) -> None:
    """Where the newest push can't be read nobody is let in by an older one."""
    with full_disk(LESS_THAN_A_SHM):
        assert cache.find(1) is not None
    cache.path.with_name("patrons.db-wal").write_bytes(bytes(100))

    with full_disk(LESS_THAN_A_SHM), pytest.raises(StoreError, match="SHMSIZE"):
        cache.find(1)


def test_a_writer_that_ends_leaves_no_commit_in_the_wal(cache: Cache) -> None:
    """Also under a door that reads: after a power cut on a full disk the file is all there is."""
    assert cache.find(1) is not None
    cache.filled(sealed(2, "2"))

    wal = cache.path.with_name("patrons.db-wal")
    assert wal.exists()
    assert wal.stat().st_size == 0


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """What is not there can't be read either way."""
    with (
        closing(PatronCache(tmp_path / "nowhere" / "patrons.db", SEAL)) as cache,
        pytest.raises(StoreError, match="is missing; load the full feed"),
    ):
        cache.stamp()


OTHER, GROUP = 4711, 4712


class OtherUser:
    """A process of another user, of the group that may read; asks the cache for its version."""

    def __init__(self, path: Path) -> None:
        self._ask, asked = os.pipe()[::-1]
        answer, told = os.pipe()
        self._process = os.fork()
        if not self._process:
            os.close(self._ask)
            _tell_versions(path, asked, told)
        os.close(asked)
        os.close(told)
        self._answers = open(answer, encoding="ascii")  # noqa: SIM115, PTH123 - closed below

    def version(self) -> str:
        """Return what it finds now, asked twice: nothing is written in between."""
        os.write(self._ask, b"??")
        first, again = self._answers.readline(), self._answers.readline()
        assert first == again
        return first

    def close(self) -> None:
        """End it."""
        os.close(self._ask)
        os.waitpid(self._process, 0)
        self._answers.close()


def _tell_versions(path: Path, asked: int, told: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(OTHER, OTHER, OTHER)
        with closing(PatronCache(path, SEAL)) as cache:
            while os.read(asked, 1):
                os.write(told, f"{cache.version()} {cache.stamp().epoch}\n".encode())
    except BaseException as err:  # noqa: BLE001 - told to the test, which compares
        os.write(told, f"{err!r}\n".encode())
    finally:
        os._exit(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A cache in a directory of ours that another user's group may read."""
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, 0, GROUP)
        Path(directory).chmod(0o750)
        before = os.getegid()
        os.setegid(GROUP)
        try:
            path = Path(directory, "patrons.db")
            create_patrons(path, SEAL)
            yield path
        finally:
            os.setegid(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user")
def test_another_user_sees_each_commit_and_no_other(shared: Path) -> None:
    """Who may only read file, -wal and -shm misses no commit, whoever else comes and goes.

    A -wal that is written from its beginning again keeps its size; one that its writer has emptied
    at its end stays, and SQLite would call each answer that rests on it a new commit.
    """
    for _ in range(2):
        with (
            closing(OtherUser(shared)) as reader,
            closing(PatronCacheWriter(shared, SEAL)) as writer,
        ):
            for number in (1, 2, 3):
                push(writer, sealed(number, str(number)))
                assert reader.version().split()[1] == str(writer.held().epoch)
            # What comes after it is written over the -wal from its beginning, and no longer.
            writer.renumber(writer.held().epoch - 1)
            writer.database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            before, epoch = reader.version(), writer.held().epoch - 1
            file = shared.stat()
            writer.renumber(epoch)
            # Two commits within a tick of the kernel's clock bear one time.
            os.utime(shared, ns=(file.st_atime_ns, file.st_mtime_ns))
            after = reader.version()
            assert (after.split()[0] != before.split()[0], after.split()[1]) == (True, str(epoch))
            writer.close()
            assert reader.version().split()[1] == str(epoch)
        assert shared.with_name("patrons.db-wal").stat().st_size == 0
        with closing(OtherUser(shared)) as late:
            assert late.version().split()[1] == str(epoch)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user")
def test_the_group_reads_and_nobody_else(shared: Path) -> None:
    """In a directory that is the group's to read a database is too; its lock is the owner's."""
    with closing(PatronCacheWriter(shared, SEAL)), closing(PatronCache(shared, SEAL)) as cache:
        cache.stamp()
        modes = {path.name: path.stat().st_mode & 0o777 for path in shared.parent.iterdir()}

    assert modes.pop("patrons.db.lock") == 0o600
    assert modes == dict.fromkeys(("patrons.db", "patrons.db-wal", "patrons.db-shm"), 0o640)
