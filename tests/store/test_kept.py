"""Copies of databases before an upgrade, and the way back to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.store.kept import BESIDE, REPLACING, KeptDatabases, clear_way

COUNT = "SELECT count(*) FROM rows"


def write(path: Path, rows: int, layout: int = 1) -> Path:
    """Make a database that holds so many rows, in WAL as ours are."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA user_version={layout}")
        database.execute("CREATE TABLE rows (x INTEGER) STRICT")
        database.executemany("INSERT INTO rows VALUES (?)", [(row,) for row in range(rows)])
    return path


def rows_in(path: Path) -> int:
    """Count them."""
    with closing(sqlite3.connect(path)) as database:
        count: int = database.execute(COUNT).fetchone()[0]
    return count


@pytest.fixture
def kept(tmp_path: Path) -> KeptDatabases:
    """Copies in a folder that is made when it is needed."""
    return KeptDatabases(tmp_path / "before")


def test_only_another_layout_is_put_back(kept: KeptDatabases, tmp_path: Path) -> None:
    """What was acknowledged in the old layout stays; from a new one it is lost, and counted."""
    path = write(tmp_path / "visits.db", 2)
    kept.keep(path)
    write(path, 3)
    assert (kept.put_back(path, COUNT), rows_in(path)) == ("", 3)

    write(path, 7, layout=2)
    assert (kept.put_back(path, COUNT), rows_in(path)) == ("5", 2)
    assert (kept.put_back(path, COUNT), rows_in(path)) == ("", 2)


def test_what_may_be_half_of_one_is_put_back_again(kept: KeptDatabases, tmp_path: Path) -> None:
    """A file whose -wal was taken away before it was replaced says nothing true of its layout."""
    path = write(tmp_path / "visits.db", 2)
    kept.keep(path)
    write(path, 7)
    (tmp_path / "before" / f"visits.db{REPLACING}").touch()

    assert (kept.put_back(path, COUNT), rows_in(path)) == ("5", 2)
    write(path, 4)
    assert (kept.put_back(path, COUNT), rows_in(path)) == ("", 4)


def test_a_copy_that_an_earlier_release_made_is_put_back(
    kept: KeptDatabases, tmp_path: Path
) -> None:
    """Beside its database, as releases up to 0.2 did; without any copy there is no way back."""
    path = write(tmp_path / "visits.db", 7, layout=2)
    with pytest.raises(StoreError, match="before-upgrade is missing"):
        kept.put_back(path, COUNT)

    write(tmp_path / f"visits.db{BESIDE}", 2)
    assert (kept.put_back(path, COUNT), rows_in(path)) == ("5", 2)


def test_what_is_no_database_can_not_be_kept(kept: KeptDatabases, tmp_path: Path) -> None:
    """There is nothing to go back to, and no copy that would be taken for one."""
    path = tmp_path / "visits.db"
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreDamagedError):
        kept.keep(path)
    assert list((tmp_path / "before").iterdir()) == []


def test_what_is_nobodys_business_is_left(tmp_path: Path) -> None:
    """Folders and links of other names than ours, links to databases elsewhere, files as such."""
    elsewhere = write(tmp_path / "elsewhere", 1)
    data = tmp_path / "data"
    data.mkdir()
    for name in ("purges", "backups", "doorctl-web.service.d"):
        (data / name).mkdir()
    (data / "branch.db").symlink_to(elsewhere)
    (data / "current").symlink_to("nothing")
    (data / "second_factor.key").write_bytes(b"key")
    names = sorted(one.name for one in data.iterdir())

    assert clear_way(data) == []
    assert sorted(one.name for one in data.iterdir()) == names


def test_what_its_owner_may_not_write_can_be_written_again(tmp_path: Path) -> None:
    """A folder or file whose rights were taken away by its own user, who has them back."""
    path = write(tmp_path / "patrons.db", 1)
    path.chmod(0)
    tmp_path.chmod(0o050)
    try:
        assert clear_way(tmp_path) == []
    finally:
        mode = tmp_path.stat().st_mode & 0o777
        tmp_path.chmod(0o700)
    assert (mode, path.stat().st_mode & 0o777) == (0o750, 0o600)


def test_names_are_told_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    """And without end: five of them, and how many more there are."""
    for number in range(7):
        (tmp_path / f"branch.db-{number}\x1b[2J\n").mkdir()

    told = clear_way(tmp_path)
    assert len(told) == 6
    assert told[-1] == "and 2 more there"
    assert all(line.isprintable() for line in told)
