from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "tests" / "STANDARD.md").read_text(encoding="utf-8")

NO_TEST = {"hardware, outside software", "not yet"}

ASKED = (
    *("T2 5", "T2 15", "T2 16", "T2 17", "T2 18", "T2 19", "T2 20", "T2 21", "T2 22", "T2 24"),
    *("T3 1", "T3 2", "T3 4", "T3 7", "T3 9", "T3 10", "T3 16", "T3 17", "T3 18", "T3 20", "T3 21"),
    *("T3 22", "T3 23", "T3 24", "T3 26", "T3 30", "T3 31", "T3 32"),
    *("6.3.1", "6.4", "6.4c", "T4", "T4 1"),
    *("T7 14", "T7 16", "T7 17", "T7 18", "T7 19", "T7 20", "T7 21", "T7 22", "T7 23", "T7 24"),
    "12",
)
"""The rows of EN/IEC 60839-11-1 that are known to us."""


def rows() -> list[tuple[str, str, str]]:
    """Return row, what it asks for and what shows it, of each line of the table."""
    table = TEXT.split("| row |")[1].split("\n## ")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line]
    return [(cell[0], cell[1], cell[2]) for cell in cells]


def test_every_row_is_answered() -> None:
    """No row of the standard is left out quietly, and none is made up."""
    assert {row for row, _, _ in rows()} == set(ASKED)


@pytest.mark.parametrize(("row", "asks", "shown_by"), rows())
def test_what_a_row_names_exists(row: str, asks: str, shown_by: str) -> None:
    """A test that was renamed leaves an empty claim; what has none says so plainly."""
    if shown_by in NO_TEST:
        return
    named = re.fullmatch(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
    assert named, f"{row}, {asks}: {shown_by}"
    path, name = named.groups()
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(def {name}\(|{name} = )", source, re.MULTILINE), f"{path} has no {name}"
