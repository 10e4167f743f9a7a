from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import AlreadyExistsError, StoreBusyError, StoreDamagedError, StoreError
from doorctl.store.connection import create_file, open_reader, open_writer, transaction, translated


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
