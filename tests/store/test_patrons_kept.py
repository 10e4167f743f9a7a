"""What only the SQLite cache has to do for rows that no push brought: files, seals, raw bytes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import RowsClashError
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from tests.store.samples import DAY, NOON, SEAL, files_of, key_of, push, sealed

UNTIL = NOON.date() + 30 * DAY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty cache stands."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    return path


def _bare(number: int, patron_ref: str) -> SealedRow:
    return SealedRow(key_of(number), Patron(patron_ref, resident=True))


def test_a_row_sealed_otherwise_is_refused(path: Path) -> None:
    """No card would find it in a cache whose rows are of another key."""
    with closing(PatronCacheWriter(path, structs.replace(SEAL, key_id="feedf00d"))) as writer:
        with pytest.raises(RowsClashError, match="load the full feed again"):
            writer.keep(sealed(1, "a"), row_until=UNTIL, pin_until=UNTIL)

        push(writer)
        writer.keep(sealed(1, "a"), row_until=UNTIL, pin_until=UNTIL)


def test_what_was_kept_outlives_the_process(path: Path) -> None:
    """It is on the disk when the call returns, and another connection reads it."""
    with closing(PatronCacheWriter(path, SEAL)) as writer, closing(PatronCache(path, SEAL)) as door:
        push(writer, _bare(1, "a"))
        before = door.version()
        writer.keep(sealed(1, "a"), row_until=UNTIL, pin_until=UNTIL)
        writer.keep(sealed(2, "b"), row_until=UNTIL, pin_until=UNTIL)
        assert door.version() != before
        assert door.find(key_of(1)) == replace(sealed(1, "a").patron, pin_until=UNTIL)

    with closing(PatronCache(path, SEAL)) as door:
        asked = replace(sealed(2, "b").patron, pin_until=UNTIL, pushed=False)
        assert door.find(key_of(2)) == asked


def test_no_byte_of_what_was_kept_stays_after_its_patron(path: Path) -> None:
    """A learnt check and an asked row are gone from every file, in the middle of the tables too.

    That a push shut a card out is kept for a week, by its key alone, and then gone as well.
    """
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        push(writer, *[_bare(number, f"pushed-{number}") for number in range(500)])
        for number in range(500):
            writer.keep(sealed(number, "x"), row_until=UNTIL, pin_until=UNTIL)
            asked = sealed(1000 + number, f"asked-{number}")
            writer.keep(asked, row_until=UNTIL, pin_until=UNTIL)
    held = b"".join(files_of(path.parent).values())
    assert key_of(250) in held
    assert _check(250) in held
    assert b"asked-250" in held

    with closing(PatronCacheWriter(path, SEAL)) as writer:
        gone = ["pushed-250", "asked-250"]
        push(writer, full=False, removals=gone)
    left = b"".join(files_of(path.parent).values())
    assert key_of(1250) not in left
    for trace in (_check(250), _check(1250), b"asked-250", b"pushed-250"):
        assert trace not in left
    assert _check(251) in left
    assert b"asked-251" in left

    with closing(PatronCacheWriter(path, SEAL)) as writer:
        writer.forget(NOON + 8 * DAY)
    assert key_of(250) not in b"".join(files_of(path.parent).values())


def test_after_a_snapshot_of_pushed_pins_nothing_kept_is_left(path: Path) -> None:
    """Both tables are empty: what the register says takes the place of all that was asked."""
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        push(writer, _bare(1, "a"), _bare(2, "b"))
        for number in range(1, 5):
            writer.keep(sealed(number, f"r{number}"), row_until=UNTIL, pin_until=UNTIL)
        push(writer, sealed(1, "a"), sealed(3, "c"))

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM learnt").fetchall() == []
        assert database.execute("SELECT * FROM asked").fetchall() == []


def _check(number: int) -> bytes:
    check = sealed(number, "").patron.pin_check
    assert check is not None
    return check
