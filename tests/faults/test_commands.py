"""Bugs that were found.

Bug (system-call enumeration): a page that could not be written was left empty, and the next try
refused.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.branches import Branch, ended_badly
from tests.faults.commands import (
    PAGE,
    Command,
    backups,
    door_wrong,
    export_wrong,
    exports,
    page_wrong,
    purge_wrong,
    purges,
    starts,
    web_wrong,
)
from tests.faults.enumeration import Plan, Strike
from tests.faults.tracing import Ran, Traced

SLICE, ABOUT_PAGE = 3, 6
COMMANDS = [*purges(), *exports(), *backups(), *starts()]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_that_is_struck_harms_nothing(struck: Strike, command: Command) -> None:
    """Done, or one clear line and exit code 1; no database is damaged, and what it is for holds.

    The run of all points is `python -m tests.faults all`.
    """
    found = struck(command, Plan(SLICE))

    assert found.violations == []
    assert found.kills + found.errors > 0


def test_a_page_that_can_not_be_written_is_not_left_half(struck: Strike) -> None:
    """At calls to the page in the making, from the first on: it gets its name once it is whole."""
    _, page = exports()

    found = struck(page, Plan(ABOUT_PAGE, about=f"{PAGE}.new"))

    assert found.violations == []
    assert found.kills + found.errors == len(found.struck) > 0


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Branch:
    """Make a branch once."""
    return Branch(tmp_path_factory.mktemp("branch"))


@pytest.fixture
def directory(branch: Branch, tmp_path: Path) -> Path:
    """Return a copy of the branch's files, which nothing was done with."""
    branch.lay_out(tmp_path / "state")
    return tmp_path / "state"


def ran(said: str = "", complained: str = "", code: int = 0) -> Ran:
    """Return how a command ended."""
    return Ran(Traced((), ()), said, complained, code)


def change(directory: Path, sql: str, database: str = "visits.db") -> None:
    """Change a database."""
    with closing(sqlite3.connect(directory / database)) as connection, connection:
        connection.execute(sql)


def test_a_purge_that_left_something_is_caught(directory: Path) -> None:
    """Also one that took a young visit, or after which what is expired is listed."""
    kept = directory.with_name("kept")
    shutil.copytree(directory, kept)

    assert purge_wrong(directory, ran(code=1)) == []
    assert purge_wrong(kept, ran()) == ["purged, it says, but bytes are left"]
    change(kept, "DELETE FROM attempts WHERE attempt = 9")
    assert purge_wrong(kept, ran()) == ["listed are [10, 11, 12, 13, 14]"]


def test_an_export_without_a_record_of_the_look_is_caught(directory: Path) -> None:
    """Also one that was cut off, is empty, or says that it is done and shows nothing."""
    whole = json.dumps({"visits": ["granted"]})

    assert export_wrong(directory, ran(code=1)) == []
    assert export_wrong(directory, ran()) == ["done, but nothing was shown"]
    assert export_wrong(directory, ran(whole)) == ["shown, but the look is not on record"]
    assert export_wrong(directory, ran(whole[:9]))[1:] == ["half of it was shown"]
    assert export_wrong(directory, ran("{}"))[1:] == ["the visit is missing in it"]


def test_half_a_page_is_caught(directory: Path) -> None:
    """Where the command had the time to take it away again."""
    (directory / PAGE).write_text("<html>")

    assert "half a page was left" in page_wrong(directory, ran(code=1))
    assert "half a page was left" not in page_wrong(directory, ran(code=-9))


def test_a_start_that_opens_or_forgets_is_caught(directory: Path) -> None:
    """A relay that goes on, a visit that is gone, a register that is gone."""
    assert door_wrong(directory, ran('{"event":"relay","energised":true}')) == ["the relay went on"]
    change(directory, "DELETE FROM attempts")
    assert "listed are []" in door_wrong(directory, ran())
    change(directory, "UPDATE cache SET epoch = 0", "patrons.db")
    assert web_wrong(directory, ran()) == ["the register is [(0, 1)]", "ended without a word"]


@pytest.mark.parametrize(
    ("complained", "code", "wrong"),
    [
        ("", 0, False),
        ("doorctl: the disk is full\n", 1, False),
        ("", -9, False),
        ("", 137, False),
        ("", 1, True),
        ("Traceback\ndoorctl: x\n", 1, True),
        ("doorctl: x\n", 2, True),
        ("OSError\n", 1, True),
    ],
)
def test_an_end_without_one_clear_line_is_caught(
    complained: str, code: int, *, wrong: bool
) -> None:
    """A traceback, silence, or another exit code than 1."""
    assert bool(ended_badly(ran("", complained, code))) is wrong
