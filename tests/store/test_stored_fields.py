"""The list of every stored field is complete: `doorctl/store/README.md` says why and how long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.store.branch_writer import create_branch
from doorctl.store.outbox import open_or_create_outbox
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.visits import create_visits
from tests.store.samples import SEAL

README = Path(__file__).parents[2] / "doorctl" / "store" / "README.md"

BOOKKEEPING = {"sqlite_sequence", "_sqlite_migrations"}

HEADER = {"table", "---"}

Field = tuple[str, str, str]


def told() -> Iterator[tuple[Field, str, str]]:
    """Yield each field that the list names, with why it is kept and for how long."""
    database = ""
    for line in README.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            database = line.split()[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[0] not in HEADER:
            table, fields, why, how_long = cells
            for name in fields.split(", "):
                yield (database, table, name), why, how_long


@pytest.fixture
def stored(tmp_path: Path) -> list[Field]:
    """Every column of every database, freshly created."""
    create_visits(tmp_path / "visits.db")
    create_patrons(tmp_path / "patrons.db", SEAL)
    create_branch(tmp_path / "branch.db")
    open_or_create_outbox(tmp_path / "outbox.db").close()
    return [field for path in sorted(tmp_path.glob("*.db")) for field in _fields(path)]


def _fields(path: Path) -> Iterator[Field]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = connection.execute(f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608 - a schema's own name
            if table not in BOOKKEEPING:
                yield from ((path.name, table, name) for (name,) in columns)


def test_every_stored_field_is_on_the_list(stored: list[Field]) -> None:
    """A new column without a line, or a line whose column is gone, fails here."""
    listed = [field for field, _, _ in told()]

    assert sorted(listed) == sorted(stored)


def test_every_field_has_a_reason_and_an_end() -> None:
    """What nobody can justify is not stored."""
    assert [field for field, why, how_long in told() if not (why and how_long)] == []
