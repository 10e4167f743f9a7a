"""What is too large to be held is gone through again, and says the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.core.errors import FeedError
from doorctl.sync.exports import FeedExports
from doorctl.sync.feed import Rows, read_rows
from doorctl.sync.large import HELD, Again, Marks


@given(st.lists(st.integers(), max_size=8), st.integers(0, 8))
def test_each_pass_yields_the_same(items: list[int], most: int) -> None:
    """Held or made anew: their number, their order, and which are there."""
    passes = 0

    def make() -> Iterator[int]:
        nonlocal passes
        passes += 1
        yield from items

    again = Again(make, most=most)

    assert [[*again], [*again]] == [items, items]
    assert len(again) == len(items)
    assert 7 in again or 7 not in items
    assert passes == 1 or len(items) > most


def test_a_first_pass_may_do_more() -> None:
    """It is gone through once, at once, to its end."""
    seen: list[int] = []

    def first() -> Iterator[int]:
        for number in range(10):
            seen.append(number)
            yield number

    again = Again(lambda: iter(range(10)), first(), most=3)

    assert seen == [*again] == [*range(10)]
    assert [*Again(lambda: iter(()), iter(range(10)), most=None)] == [*range(10)]


@given(st.lists(st.integers(0, 30) | st.text("ab", max_size=2)))
@example([0, ""])
def test_marks_know_what_was_there_and_what_was_there_twice(values: list[object]) -> None:
    """By the hash: equal values have one, and so have two that share theirs (0 and "")."""
    marks = Marks()
    for value in values:
        marks.add(value)

    hashes = [hash(value) for value in values]
    assert marks.twice() == {each for each in hashes if hashes.count(each) > 1}
    assert all(value in marks for value in values)
    assert "another" not in marks


def row(number: int, card: int | None = None, **more: object) -> str:
    """Return a line of the feed."""
    identifier = str(3_000_000_000 + (number if card is None else card))
    cards = [{"identifier": identifier, "identifierType": "CARD", "status": "ACTIVE"}]
    return json.dumps({"patronId": number, "identifiers": cards, "resident": True} | more) + "\n"


MANY = HELD + 10


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of more patrons than are held; of the last five, each is wrong or a double."""
    path = tmp_path_factory.mktemp("town") / "01-full.ndjson"
    wrong = [
        row(MANY - 5, resident="yes"),
        row(MANY - 4, card=7),
        row(8, card=MANY - 3),
        row(MANY - 2, card=MANY - 1),
        row(MANY - 1),
    ]
    path.write_text("".join([*map(row, range(MANY - 5)), *wrong]), encoding="utf-8")
    return path


def refs(rows: Rows) -> list[int]:
    """Return the patrons of the right rows."""
    return [int(patron.patron_ref) for patron in rows.right]


def test_of_a_large_export_each_row_is_checked_against_all(town: Path) -> None:
    """The wrong rows and those that they spoil are named as of a small one."""
    rows = read_rows(town, pin_length=4)

    assert len(rows.right) == MANY - 5 - 2
    assert refs(rows) == refs(rows) == [n for n in range(MANY - 5) if n not in {7, 8}]
    assert [(wrong.line, bool(wrong.why)) for wrong in rows.wrong] == [
        *((line, True) for line in (MANY - 4, MANY - 3, MANY - 2, MANY)),
        *((line, False) for line in (8, 9, MANY - 1)),
    ]
    assert rows.wrong[1].why == ("identifiers[0]: stands in line 8 too; give it to one patron",)


def test_later_changes_take_the_place_of_rows_of_a_large_export(town: Path) -> None:
    """By the file behind it; a number that stands in both is nobody's."""
    changes = town.with_name("02-changes.ndjson")
    changes.write_text(row(1, tags=["new"]) + row(MANY, card=2), encoding="utf-8")
    export = FeedExports(town.parent, pin_length=4, wrong_share=0.5).read()
    changes.unlink()

    tags = {patron.patron_ref: patron.row.tags for patron in export.patrons}
    assert len(tags) == len(export.patrons) == MANY - 5 - 2 - 1
    assert tags["1"] == {"new"}
    assert not {"2", "7", "8", str(MANY)} & tags.keys()


def test_a_file_that_changes_between_two_passes_is_refused(town: Path) -> None:
    """Half of the rows would be those of the day before."""
    rows = read_rows(town, pin_length=4)
    before = town.stat()
    os.utime(town, ns=(before.st_atime_ns, before.st_mtime_ns + 1))

    with pytest.raises(FeedError, match="was changed while it was read"):
        refs(rows)


def test_a_pipe_is_read_once() -> None:
    """Its rows are held, however many they are."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as pipe:
        pipe.write(row(1) + row(2))
    try:
        rows = read_rows(Path(f"/dev/fd/{read_end}"), pin_length=4)
    finally:
        os.close(read_end)

    assert refs(rows) == refs(rows) == [1, 2]
