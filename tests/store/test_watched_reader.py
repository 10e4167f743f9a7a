"""What the door's loop asks of a file that somebody else holds.

Bug (attack review): whoever held a database exclusively made the door's loop wait for 5 s.

Bug (outside look): a patron was refused where a database stood unfinished under the door for more
than the second after which it asks again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from doorctl.core.errors import StoreBusyError, StoreError
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_rows import migrations
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.connection import BUSY_TIMEOUT_MS
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.reader import LASTS_S, LOOP_PATIENCE_MS, Lasting, WatchedReader
from tests.store.samples import BAN, NOW, SEAL, key_of

KEY = key_of(1)

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


@pytest.mark.parametrize("which", ["cache", "book"])
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


def empty(path: Path) -> None:
    """Lay what somebody has only begun to make."""
    path.touch()


def junk(path: Path) -> None:
    """Lay what is no database."""
    path.write_bytes(b"no database at all" * 99)


def foreign(path: Path) -> None:
    """Lay a database of somebody else's."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bans (number)")


def missing(path: Path) -> None:
    """Lay nothing."""
    assert not path.exists()


@pytest.mark.parametrize("laid", [missing, empty, junk, foreign])
def test_the_file_read_last_answers_for_a_moment(laid: Callable[[Path], None], path: Path) -> None:
    """Until what replaced it can be read, or has stood there for too long: that fails closed."""
    kept, now_s = path.with_name("kept"), [0.0]
    reader = WatchedReader(path, "mend it", migrations, lasting=Lasting(lambda: now_s[0]))
    with closing(reader):
        for begun_s in (100.0, 200.0):
            now_s[0] = begun_s
            good, generation = reader.current(), reader.generation
            path.rename(kept)
            laid(path)
            for later_s in (0.0, LASTS_S - 0.1):
                now_s[0] = begun_s + later_s
                assert reader.current() is good
            kept.replace(path)
            assert reader.current().execute("SELECT count(*) FROM bans").fetchone() == (0,)
            assert reader.generation == generation
        path.rename(kept)
        laid(path)
        reader.current()
        for _ in range(2):
            now_s[0] += LASTS_S
            with pytest.raises(StoreError):
                reader.current()
        kept.replace(path)
        reader.current()


def test_the_moment_begins_when_any_reader_last_found_the_file(path: Path) -> None:
    """Not at the first swipe after an hour in which it was gone.

    Bug (end-to-end test): a file that had been gone for an hour still answered for three
    seconds at the first swipe.
    """
    now_s = [0.0]
    lasting = Lasting(lambda: now_s[0])
    with (
        closing(WatchedReader(path, "mend it", migrations, lasting=lasting)) as rows,
        closing(WatchedReader(path, "mend it", migrations, lasting=lasting)) as commits,
    ):
        rows.current()
        commits.current()
        now_s[0] = 100.0
        commits.current()
        path.unlink()
        now_s[0] += LASTS_S - 0.1
        rows.current()
        now_s[0] += 0.1
        for reader in (rows, commits):
            with pytest.raises(StoreError):
                reader.current()


def test_a_file_that_has_a_successor_answers_no_more(path: Path, tmp_path: Path) -> None:
    """One reader has found the other file; another one that can't open it goes by neither.

    Bug (read by a stranger): the file read last answered without end where one reader had found
    its successor and another could not; and not at all before the first commit where door and
    web are two users; on an idle door its seconds did not begin.
    """
    successor = tmp_path / "successor.db"
    create_branch(successor)
    lasting = Lasting(lambda: 0.0)
    with (
        closing(WatchedReader(path, "mend it", migrations, lasting=lasting)) as rows,
        closing(WatchedReader(path, "mend it", migrations, lasting=lasting)) as commits,
    ):
        rows.current()
        successor.replace(path)
        commits.current()
        path.unlink()
        commits.current()
        with pytest.raises(StoreError):
            rows.current()


@pytest.mark.parametrize("laid", [missing, empty, junk, foreign])
def test_others_are_told_at_once(laid: Callable[[Path], None], path: Path) -> None:
    """Whoever is not the door answers by what stands there."""
    with closing(WatchedReader(path, "mend it", migrations)) as reader:
        reader.current()
        path.unlink()
        laid(path)
        with pytest.raises(StoreError):
            reader.current()


def test_bans_stay_known_for_a_moment(path: Path, writer: BranchRecordsWriter) -> None:
    """A banned patron gains nothing by a file that is swapped under the door, and nobody loses."""
    writer.ban(BAN, NOW, row_key=KEY, patron_ref=None)
    writer.close()
    with closing(BranchRecords(path, lambda: 0.0)) as doors:
        before = (doors.bans(KEY, None), doors.version())
        for left in path.parent.glob("branch.db*"):
            left.unlink()
        junk(path)

        assert (doors.bans(KEY, None), doors.version()) == before
    assert len(before[0]) == 1
