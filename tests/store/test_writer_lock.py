from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import StoreBusyError, StoreError
from doorctl.store.connection import WriterLock
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.visits import VisitStore, create_visits
from tests.store.samples import SEAL

HOLD = """
import sys
from pathlib import Path
from doorctl.store.visits import VisitStore
store = VisitStore(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    """While one process writes another can't; when the first is killed, it can at once."""
    path = tmp_path / "visits.db"
    create_visits(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(StoreBusyError) as caught:
            VisitStore(path)
        assert str(caught.value) == (
            f"another doorctl process is writing {path}; wait for it or stop it"
        )
        holder.kill()
        holder.wait()

    VisitStore(path).close()


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    """The rule holds between two threads' connections too."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    writer = PatronCacheWriter(path, SEAL)

    with pytest.raises(StoreBusyError):
        PatronCacheWriter(path, SEAL)
    writer.close()
    writer.close()

    PatronCacheWriter(path, SEAL).close()


def test_a_writer_that_fails_to_open_leaves_no_lock(tmp_path: Path) -> None:
    """After a damaged file is replaced, the next try is not refused for the last one's sake."""
    path = tmp_path / "visits.db"
    path.write_bytes(b"this is a text, and no database at all" * 100)
    with pytest.raises(StoreError):
        VisitStore(path)
    path.unlink()
    create_visits(path)


def test_a_foreign_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Migrations that can't be applied leave no lock, no half of a table and no record."""
    path = tmp_path / "visits.db"
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE throttles (somebody TEXT)")
    for _ in range(2):
        with pytest.raises(StoreError, match="does not hold doorctl's tables"):
            VisitStore(path)

    with closing(sqlite3.connect(path)) as foreign:
        names = {name for (name,) in foreign.execute("SELECT name FROM sqlite_schema")}
        assert names == {"throttles"}


def test_the_lock_file_is_private_and_stays(tmp_path: Path) -> None:
    """Removing it would let two processes lock two files of one name."""
    with WriterLock(tmp_path / "some.db"):
        pass

    assert (tmp_path / "some.db.lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A missing directory is the machine's fault, with the path in the text."""
    with pytest.raises(StoreError, match=r"some\.db\.lock can't be opened"):
        WriterLock(tmp_path / "nowhere" / "some.db")


@pytest.mark.parametrize("lay", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_that_is_something_elses_name_is_refused(
    tmp_path: Path, lay: Callable[[Path, Path], None]
) -> None:
    """A link in its place is not followed: what it leads to is neither locked nor made."""
    other = tmp_path / "other"
    other.write_bytes(b"as it was")
    lay(tmp_path / "some.db.lock", other)

    with pytest.raises(StoreError, match=r"some\.db\.lock (can't be opened|is not a file)"):
        WriterLock(tmp_path / "some.db")
    assert other.read_bytes() == b"as it was"


def test_a_pipe_in_place_of_a_file_holds_nobody(tmp_path: Path) -> None:
    """SQLite would wait for ever for whoever writes to it, and the door with it.

    Bug (`tests/rootplay`): what may not be looked at ended the command in a traceback, a pipe
    in place of a journal held it for ever.
    """
    create_visits(tmp_path / "visits.db")
    os.mkfifo(tmp_path / "visits.db-journal")

    with pytest.raises(StoreError, match=r"visits\.db-journal is a pipe and no file; remove it"):
        VisitStore(tmp_path / "visits.db")
