"""One wrong bit in what the door decides by: the answer of before, a refusal, or damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from doorctl.access.calendar import DaySource
from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.privacy.subject import Subject
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache
from doorctl.store.subject import restrict
from tests.fakes.clock import START
from tests.store.samples import NOW, SEAL, Branch, Cache, key_of

CARD = b"k" * 16
CHECK = b"c" * 32
PAGE = 4096
PATRON = Patron(
    "1002",
    CHECK,
    resident=False,
    blocks=frozenset("O"),
    enter_from=date(2026, 7, 1),
    valid_until=date(2026, 12, 31),
)


def pages(path: Path, table: str) -> list[int]:
    """Return the first pages of a table and its indices, which here are all that they have."""
    with closing(sqlite3.connect(path)) as database:
        found = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = ? AND rootpage > 0"
        return [page for (page,) in database.execute(found, (table,))]


def answers(path: Path, table: str, ask: Callable[[], object]) -> set[object]:
    """Return all answers that a wrong bit in a table brings; damage that is told is None.

    Two bits of each byte: `python -m tests.bitflip` draws from all, and starts the door on them.
    """
    content = path.read_bytes()
    found: set[object] = set()
    for page in pages(path, table):
        begins = (page - 1) * PAGE
        for byte in range(begins, begins + PAGE):
            if not any(content[max(begins, byte - 1) : byte + 2]):
                continue
            for bit in (byte % 4, byte % 4 + 4):
                write(path, byte, content[byte] ^ 1 << bit)
                try:
                    found.add(ask())
                except StoreError:
                    found.add(None)
            write(path, byte, content[byte])
    assert path.read_bytes() == content
    assert ask() in found
    return found


def write(path: Path, place: int, byte: int) -> None:
    """Put one byte at its place in a file."""
    with path.open("r+b", buffering=0) as file:
        file.seek(place)
        file.write(bytes([byte]))


ROW = SealedRow(CARD, PATRON)


def pushed(cache: Cache, *rows: SealedRow) -> Path:
    """Put these rows in as the whole register, and let the writer end."""
    cache.push(*rows, full=True, at=START)
    cache.writer.close()
    return cache.writer.path


def test_a_wrong_bit_in_a_patrons_row_lets_nobody_in(cache: Cache) -> None:
    """It is the patron as pushed, another PIN, nobody at all, or damage that is told."""
    path = pushed(cache, ROW)

    def ask() -> object:
        with closing(PatronCache(path, SEAL)) as read:
            found = read.find(CARD)
            return found and replace(found, pin_check=CHECK)

    assert answers(path, "patrons", ask) <= {PATRON, None}
    assert cache.lookup.find(CARD) == PATRON


def test_a_wrong_bit_in_the_cache_makes_it_no_younger(cache: Cache) -> None:
    """When it was applied, and for which age limit, is as it was, or damage."""
    path = pushed(cache)

    def ask() -> object:
        with closing(PatronCache(path, SEAL)) as read:
            stamp = read.stamp()
            return stamp.applied_at, stamp.minimum_age

    assert answers(path, "cache", ask) == {(START, 15), None}


def test_the_same_rows_again_mend_a_wrong_bit(cache: Cache) -> None:
    """A row of which a value was changed is damage until the register is sent again.

    Bug (penetration test): a wrong bit inside a value, such as `resident` or a ban's end, was
    found by nothing; in a page's number of rows it hid all bans.
    """
    for _ in range(2):
        cache.push(ROW, full=True)
        assert cache.lookup.find(CARD) == PATRON
        with closing(sqlite3.connect(cache.writer.path)) as other, other:
            other.execute("UPDATE patrons SET twice = replace(twice, '1002', '1003')")
        with pytest.raises(StoreDamagedError):
            cache.lookup.find(CARD)


@pytest.fixture
def filled(path: Path, branch: Branch) -> Path:
    """A branch with one of each, and another ban, of a patron and without an end."""
    branch.fill()
    branch.ban(None, until=None)
    restrict(branch.writer, Subject(frozenset({key_of(1)}), "p-1"), "by", NOW)
    branch.writer.close()
    return path


def ends_of_bans(book: BranchRecords) -> object:
    """Return until when and where somebody is banned; to list all bans is damage at worst."""
    with suppress(StoreError):
        book.every_ban()
    return [(ban.until, ban.branches) for ban in book.bans(key_of(1), "p-1")]


@pytest.mark.parametrize(
    ("table", "asked"),
    [
        ("bans", ends_of_bans),
        ("restrictions", lambda book: book.restricted(key_of(1), "p-1")),
        (
            "passes",
            lambda book: replace(*book.passes_of(key_of(1)), number=0, pin_check=None, label="x"),
        ),
        ("days", lambda book: book.calendar().sources[DaySource.STAFF].days),
        ("week", lambda book: book.calendar().week),
        ("overrides", lambda book: book.override() and book.override().until),
    ],
    ids=["bans", "restrictions", "passes", "days", "week", "overrides"],
)
def test_a_wrong_bit_in_what_staff_decided_changes_nothing(
    filled: Path, table: str, asked: Callable[[BranchRecords], object]
) -> None:
    """Bans, restrictions, passes, hours and a mode set by hand stand as they are, or are damage.

    Bug (`tests/store/test_wrong_bits.py`): a wrong bit that made a number of a ban's reason
    escaped as no error of ours, and ended the door.
    """

    def ask() -> object:
        with closing(BranchRecords(filled)) as book:
            try:
                return repr(asked(book))
            except TypeError:
                assert table == "passes", "a pass that is gone lets nobody in"
                return None

    assert answers(filled, table, ask) == {ask(), None}
