from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.privacy.subject_table import (
    ABOUT_NOBODY,
    BRANCH,
    BY_OTHERS,
    CARD,
    PATRON,
    PATRONS,
    PERSON_TABLES,
    VISITS,
)
from doorctl.store.branch_writer import create_branch
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.visits import create_visits
from tests.store.samples import SEAL

OF_A_PERSON = {CARD, PATRON, "pin_check", "card", "cards", "cpr", "name", "birthday", "identifier"}
"""Names of columns that say something of a person wherever they stand."""

LISTED = {
    **{(table.database, table.name): table.names for table in PERSON_TABLES},
    **BY_OTHERS,
    **ABOUT_NOBODY,
}
ALLOWED = {(VISITS, "canaries")}
"""A table about nobody with a column of that name: its keys are no card's."""


@pytest.fixture
def schemas(tmp_path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """All tables of all three databases as they are made today, with their columns."""
    create_patrons(tmp_path / PATRONS, SEAL)
    create_branch(tmp_path / BRANCH)
    create_visits(tmp_path / VISITS)
    found = {}
    for name in (PATRONS, BRANCH, VISITS):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            tables = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' "
                "AND name NOT LIKE 'sqlite_%' AND name <> '_sqlite_migrations'"
            ).fetchall()
            for (table,) in tables:
                columns = database.execute(f"PRAGMA table_info({table})").fetchall()
                found[name, table] = tuple(column[1] for column in columns)
    return found


def test_every_table_and_column_is_listed_and_no_other(
    schemas: dict[tuple[str, str], tuple[str, ...]],
) -> None:
    """A new table or column is exported and erased, or somebody has said why not."""
    assert {place: set(columns) for place, columns in schemas.items()} == {
        place: set(columns) for place, columns in LISTED.items()
    }


def test_a_column_about_a_person_stands_in_a_table_about_people(
    schemas: dict[tuple[str, str], tuple[str, ...]],
) -> None:
    """Nobody can list a card's key or a patron's number among what is about nobody."""
    doubtful = {
        place
        for place, columns in schemas.items()
        if OF_A_PERSON & set(columns) and place in ABOUT_NOBODY
    }

    assert doubtful == ALLOWED


def test_every_table_about_people_can_be_searched_for_one() -> None:
    """By the card's key or the patron's number: else nothing of it would be found."""
    assert [table.name for table in PERSON_TABLES if not {CARD, PATRON} & set(table.names)] == []


def test_every_table_and_column_is_put_in_words_in_both_languages() -> None:
    """A person reads what is held, and not the names of columns."""
    columns = [column for table in PERSON_TABLES for column in table.columns]
    told = [(one.danish, one.english) for one in PERSON_TABLES]
    told += [(one.danish, one.english) for one in columns]

    for words in told:
        assert all(words)
        assert "_" not in "".join(words)
