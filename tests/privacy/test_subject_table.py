from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from doorctl.privacy.subject import BRANCH, CARD, PATRON, PATRONS, VISITS
from doorctl.store.tables import TABLES, create_tables, of_database

OF_A_PERSON = {CARD, PATRON, "pin_check", "card", "cards", "cpr", "name", "birthday", "identifier"}
"""Names of columns that say something of a person wherever they stand."""

PERSON_TABLES = [table for table in TABLES if table.danish]


@pytest.mark.parametrize("database", [PATRONS, BRANCH, VISITS])
def test_every_table_is_made_as_it_is_declared(database: str) -> None:
    """So what is exported and erased is all that is stored."""
    with closing(sqlite3.connect(":memory:")) as connection:
        tables = [*of_database(database)]
        for release in sorted({one.since for table in tables for one in table.columns}):
            create_tables(connection, tables, release)
        made = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        columns = {
            name: tuple(found[1] for found in connection.execute(f"PRAGMA table_info({name})"))
            for (name,) in made
        }

    assert columns == {one.name: one.names for one in TABLES if one.database == database}


def test_every_table_is_put_in_words_or_says_why_not() -> None:
    """A new table is exported and erased, or somebody has said why not."""
    assert [one.name for one in TABLES if bool(one.danish) == bool(one.apart)] == []


def test_a_column_about_a_person_stands_in_a_table_about_people() -> None:
    """Nobody can set apart a card's key or a patron's number; only canaries have no card's keys."""
    doubtful = [one.name for one in TABLES if one.apart and OF_A_PERSON & set(one.names)]

    assert doubtful == ["canaries"]


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
