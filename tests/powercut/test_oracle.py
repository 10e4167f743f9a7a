from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.powercut.model import Model, Oracle, modelled
from tests.powercut.workload import FILES, work

ROUNDS = 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Go through two evenings once."""
    return modelled(tmp_path_factory.mktemp("model"), ROUNDS)


class Saved:
    """Copies the files after some acknowledgement, as a power cut there would leave them."""

    def __init__(self, directory: Path, after: int) -> None:
        self.directory = directory
        self.copy = directory.with_name("saved")
        self._left = after

    def acknowledge(self) -> None:
        """Copy them when it is time."""
        self._left -= 1
        if self._left == 0:
            shutil.copytree(self.directory, self.copy)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the files as they are after 40 acknowledgements."""
    (tmp_path / "disk").mkdir()
    saved = Saved(tmp_path / "disk", 40)
    work(tmp_path / "disk", ROUNDS, saved.acknowledge)
    return saved.copy


def change(path: Path, sql: str) -> None:
    """Change a file."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)


def test_what_was_acknowledged_last_is_right(model: Model, saved: Path, tmp_path: Path) -> None:
    """As is what was under way, or is one behind it; each file is used again after it."""
    oracle = Oracle(model, tmp_path)

    assert oracle.judge(saved, 40) == []
    assert oracle.judge(saved, 39) == []


def test_a_lost_acknowledgement_is_told(model: Model, saved: Path, tmp_path: Path) -> None:
    """Whichever file it is of."""
    oracle = Oracle(model, tmp_path)

    told = oracle.judge(saved, len(model.acknowledged) - 1)

    assert [each.split(":")[0] for each in told] == list(FILES)
    assert all("acknowledged is lost" in each for each in told)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("visits.db", "DELETE FROM attempts WHERE attempt = (SELECT min(attempt) FROM attempts)"),
        ("visits.db", "UPDATE throttles SET failures = failures + 1"),
        ("patrons.db", "DELETE FROM patrons WHERE rowid = 1"),
        ("branch.db", "DELETE FROM days"),
    ],
)
def test_a_part_of_a_change_is_told(
    model: Model, saved: Path, tmp_path: Path, name: str, sql: str
) -> None:
    """A row more or less in any table is a state that no commit ever left."""
    sql = sql.replace("rowid = 1", "row_key = (SELECT min(row_key) FROM patrons)")
    change(saved / name, sql)

    (told,) = Oracle(model, tmp_path).judge(saved, 40)

    assert told.startswith(name)
    assert "a part of a change" in told


def test_a_damaged_file_is_told(model: Model, saved: Path, tmp_path: Path) -> None:
    """What SQLite finds malformed, or what is cut off."""
    for name in FILES:
        path = saved / name
        path.write_bytes(path.read_bytes()[:1000])
        path.with_name(f"{name}-wal").unlink(missing_ok=True)

    oracle = Oracle(model, tmp_path)

    assert len(oracle.judge(saved, 40)) == len(FILES)
