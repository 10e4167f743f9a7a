"""Files and connections: how each is made, opened, locked, and told of."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import AlreadyExistsError, StoreBusyError, StoreDamagedError, StoreError
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.connection import (
    BATCH_ROWS,
    batches,
    create_file,
    create_private,
    open_reader,
    open_writer,
    transaction,
    translated,
)
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.visits import VisitStore, create_visits
from doorctl.store.writer import WriterLock
from tests.store.samples import SEAL, Cache, full_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty database in a directory whose name would break a careless URI."""
    path = tmp_path / "å 100% #1?mode=rw" / "some.db"
    path.parent.mkdir()
    create_file(path)
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection, with a table of names."""
    with closing(open_writer(path)) as writer:
        writer.execute("CREATE TABLE names (name TEXT PRIMARY KEY) STRICT")
        yield writer


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("busy_timeout", 5000),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("mmap_size", 0),
        ("temp_store", 2),
        ("secure_delete", 1),
    ],
)
def test_the_writer_is_durable_and_purges(
    writer: sqlite3.Connection, pragma: str, value: object
) -> None:
    """Each setting that durability, purge or safety rests on is in force."""
    assert writer.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_a_reader_cannot_write(path: Path, writer: sqlite3.Connection) -> None:
    """Neither the file's mode nor the connection lets a reader change anything."""
    with closing(open_reader(path)) as reader, translated(path):
        assert reader.execute("PRAGMA query_only").fetchone() == (1,)
        with pytest.raises(StoreError, match="READONLY"), translated(path):
            reader.execute("INSERT INTO names VALUES ('a')")
        reader.execute("PRAGMA query_only=OFF")
        with pytest.raises(StoreError, match="READONLY"), translated(path):
            reader.execute("INSERT INTO names VALUES ('a')")

    assert writer.execute("SELECT count(*) FROM names").fetchone() == (0,)


def test_every_file_of_a_database_is_private(path: Path, writer: sqlite3.Connection) -> None:
    """Nobody else can read the database, its WAL or its index."""
    writer.execute("INSERT INTO names VALUES ('a')")

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"some.db": 0o600, "some.db-wal": 0o600, "some.db-shm": 0o600}


def test_nothing_is_overwritten_or_made_by_opening(path: Path) -> None:
    """Creating twice is refused, and opening a missing file does not make one."""
    with pytest.raises(AlreadyExistsError):
        create_file(path)
    missing = path.with_name("missing.db")
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match=r"missing\.db can't be used: it can't be opened"):
            opening(missing)
    with pytest.raises(StoreError, match="can't be created: No such file"):
        create_file(path.parent / "nowhere" / "x.db")

    assert not missing.exists()


def test_a_transaction_is_all_or_nothing(writer: sqlite3.Connection) -> None:
    """Whatever is raised inside undoes the whole block and passes through."""

    def interrupted() -> None:
        with transaction(writer) as connection:
            connection.execute("INSERT INTO names VALUES ('a')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert not writer.in_transaction
    assert writer.execute("SELECT count(*) FROM names").fetchone() == (0,)


def test_a_transaction_holds_the_write_lock_from_its_start(
    path: Path, writer: sqlite3.Connection
) -> None:
    """Two that read and then write can't both begin; deferred ones could, and one would fail."""
    with (
        closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as second,
        transaction(writer),
        pytest.raises(StoreBusyError, match="in use by another process"),
        translated(path),
    ):
        second.execute("BEGIN IMMEDIATE")


def test_no_text_of_ours_holds_a_rows_value(path: Path, writer: sqlite3.Connection) -> None:
    """A refused row is told by the rule that it breaks."""
    writer.execute("INSERT INTO names VALUES ('Karen Blixen')")

    with (
        pytest.raises(StoreError, match="a row breaks the table's rules") as caught,
        translated(path),
    ):
        writer.execute("INSERT INTO names VALUES ('Karen Blixen')")

    assert "Karen" not in f"{caught.value}{caught.value.__cause__}"


def test_a_text_that_cannot_be_decoded_is_damage_and_is_not_quoted(
    path: Path, writer: sqlite3.Connection
) -> None:
    """The driver would quote the text; we only say that the file is damaged."""
    writer.execute("INSERT INTO names VALUES (CAST(x'4b6172656eff' AS TEXT))")

    with pytest.raises(StoreDamagedError, match="can't be decoded") as caught, translated(path):
        writer.execute("SELECT name FROM names").fetchall()

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_our_own_misuse_is_not_blamed_on_the_disk(path: Path) -> None:
    """A closed connection is a bug: the driver's exception passes through."""
    reader = open_reader(path)
    reader.close()

    with pytest.raises(sqlite3.ProgrammingError), translated(path):
        reader.execute("SELECT 1")


def test_what_can_not_be_written_leaves_no_file(tmp_path: Path) -> None:
    """Half a key would be refused as a key and kept by the next init."""
    with full_disk(16), pytest.raises(OSError, match="File too large"):
        create_private(tmp_path / "installation.key", bytes(32))

    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from doorctl.store.branch import migrations
from doorctl.store.connection import create_file
from doorctl.store.layout import Layout

def stand_still(database):
    print("half", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

layout = Layout("branch", {**migrations.steps, "stand_still": stand_still})
create_file(Path(sys.argv[1]), layout)
"""


def test_a_second_name_of_what_a_killed_process_left_keeps_its_content(tmp_path: Path) -> None:
    """A new file is written into nothing that has another name, which would hold it too.

    Bug (read by a stranger): where `<name>.new` was a hard link, the file that it was of was
    emptied and written over.
    """
    other, made = tmp_path / "other", tmp_path / "made"
    other.write_bytes(b"stays")
    (tmp_path / "made.new").hardlink_to(other)

    create_private(made, b"content")

    assert (other.read_bytes(), made.read_bytes()) == (b"stays", b"content")
    assert made.stat().st_nlink == 1


def test_a_file_that_is_being_made_is_not_there_yet(tmp_path: Path) -> None:
    """Half-made by a process that stands still: nobody is banned, as before; nothing is lost.

    A second process does not make it meanwhile, and once the first was killed nothing of it counts.

    Bug (operations review): a door that looked while `branch.db` was being made refused an
    entitled patron; who was killed then left half a file that counted.
    """
    path = tmp_path / "branch.db"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            assert not path.exists()
            with closing(BranchRecords(path)) as book:
                assert book.bans(bytes(16), None) == ()
                book.version()
            with pytest.raises(StoreBusyError, match="is making"):
                open_or_create_branch(path)
        finally:
            process.kill()

    assert not path.exists()
    with closing(open_or_create_branch(path)) as writer, closing(BranchRecords(path)) as book:
        assert book.bans(bytes(16), None) == ()
        assert writer.database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert {file.name for file in tmp_path.iterdir()} <= {"branch.db", "branch.db.lock"}


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


def test_a_second_writer_in_the_same_process_is_refused(cache: Cache) -> None:
    """The rule holds between two threads' connections too."""
    with pytest.raises(StoreBusyError):
        PatronCacheWriter(cache.path, SEAL)
    for _ in range(2):
        cache.writer.close()

    PatronCacheWriter(cache.path, SEAL).close()


def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Where no layout can be laid, or nothing read, no lock is left, no half of a table, no record.

    So the next try is not refused for the last one's sake.
    """
    path, text = tmp_path / "visits.db", tmp_path / "text.db"
    text.write_bytes(b"this is a text, and no database at all" * 100)
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE throttles (somebody TEXT)")
    for _ in range(2):
        with pytest.raises(StoreError, match="does not hold doorctl's tables"):
            VisitStore(path)
        with pytest.raises(StoreDamagedError):
            VisitStore(text)

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


@pytest.mark.parametrize("number", [0, 1, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, 1000])
def test_every_thing_comes_once_and_in_order(number: int) -> None:
    """Only the last list may be shorter than the others, and none is empty."""
    lists = list(batches(range(number)))

    assert [thing for each in lists for thing in each] == list(range(number))
    assert all(len(each) == BATCH_ROWS for each in lists[:-1])
    assert all(lists)


def test_no_more_is_read_than_is_asked_for() -> None:
    """A push of a million rows is never in memory."""
    read: list[int] = []

    def things() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    next(batches(things()))

    assert len(read) == BATCH_ROWS
