"""One wrong bit in what the door decides by: the answer of before, a refusal, or damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from doorctl.access.calendar import Calendar
from doorctl.access.patron import Patron, SealedRow
from doorctl.config.hours import Opening
from doorctl.core.errors import AnswerDamagedError, StoreDamagedError, StoreError
from doorctl.lookup.calendar import calendar_of
from doorctl.privacy.subject import Subject
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.objections import restrict
from doorctl.store.patrons import PatronCache
from tests.fakes.clock import START
from tests.slices import every
from tests.store.samples import DAY, LOCKDOWN, NOW, SEAL, TODAY, WEEK, Branch, Cache, key_of

pytestmark = pytest.mark.sliced

MONDAY = TODAY + (7 - TODAY.weekday()) * DAY
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


def answers(path: Path, table: str, ask: Callable[[], object], nth: int = 3) -> set[object]:
    """Return all answers that a wrong bit in a table brings; damage that is told is None.

    Two bits of each byte, in a slice of each `nth`: `python -m tests.bitflip` draws from all, and
    starts the door on them.
    """
    content = path.read_bytes()
    found: set[object] = set()
    for page in pages(path, table):
        begins = (page - 1) * PAGE
        used = (
            byte
            for byte in range(begins, begins + PAGE)
            if any(content[max(begins, byte - 1) : byte + 2])
        )
        for byte in every(nth, used):
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
    """It is the patron as pushed, nobody at all, or damage that is told: never another PIN.

    Bug (second penetration test, S9): a wrong bit in a PIN check was that patron's wrong PIN, which
    cost a guess, without an alarm, until the next full push.
    """
    path = pushed(cache, ROW)

    def ask() -> object:
        with closing(PatronCache(path, SEAL)) as read:
            return read.find(CARD)

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


@pytest.mark.parametrize("where", ["asked", "learnt"])
def test_a_wrong_bit_in_what_the_library_system_answered_is_as_no_answer(
    cache: Cache, where: str
) -> None:
    """It is the answer, none at all, or damage that is told apart: then it can be asked again."""
    row = replace(ROW, patron=replace(PATRON, pin_check=None)) if where == "learnt" else None
    cache.push(*([row] if row else []), full=True)
    until = date(2026, 6, 4)
    cache.writer.keep(ROW, row_until=None if row else until, pin_until=until)
    cache.writer.close()
    path = cache.path

    def ask() -> object:
        with closing(PatronCache(path, SEAL)) as read:
            try:
                return read.find(CARD)
            except AnswerDamagedError:
                assert read.find(CARD, pushed_alone=True) == (row and row.patron)
                return None

    lent = replace(PATRON, pin_until=until, pushed=row is not None)
    assert answers(path, where, ask) <= {lent, row and row.patron, None}


def test_every_wrong_bit_of_a_key_or_a_check_is_seen_when_rows_are_inspected(cache: Cache) -> None:
    """A key that is wrong finds no row, so no swipe tells of it: whoever reads all rows does."""
    path = pushed(cache, ROW)

    def ask() -> object:
        with closing(PatronCache(path, SEAL)) as read:
            return read.find(CARD), read.inspect(b"")

    assert (None, (b"", 0)) in answers(path, "patrons", ask, nth=1)
    content = path.read_bytes()
    for value in (CARD, CHECK):
        spoilt = bytes([value[0] ^ 1]) + value[1:]
        path.write_bytes(content.replace(value, spoilt, 1))
        with closing(PatronCache(path, SEAL)) as read:
            assert read.inspect(b"") == (b"", 1)


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


def hours_of(book: BranchRecords) -> Calendar:
    """Return the hours of a branch whose staff set them."""
    return calendar_of(Opening(source="staff", holidays="ignore"), book.calendar())


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
        ("days", lambda book: hours_of(book).spans(TODAY)),
        ("day_sources", lambda book: hours_of(book).spans(TODAY)),
        ("week", lambda book: hours_of(book).spans(MONDAY)),
        ("overrides", lambda book: book.override() and book.override().until),
    ],
    ids=["bans", "restrictions", "passes", "days", "day_sources", "week", "overrides"],
)
def test_a_wrong_bit_in_what_staff_decided_changes_nothing(
    filled: Path, table: str, asked: Callable[[BranchRecords], object]
) -> None:
    """Bans, restrictions, passes, hours and a mode set by hand stand as they are, or are damage.

    A day or a week that can't be read is closed.

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

    closed = {repr(())} if table in {"days", "week"} else set()
    assert answers(filled, table, ask) - closed - {ask()} <= {None}


def others(book: BranchRecords) -> object:
    """Return what is found of a card and a patron of whom nothing stands there."""
    with suppress(StoreError):
        book.damage()
    found = (
        book.bans(key_of(9), "somebody"),
        book.passes_of(key_of(9)),
        book.restricted(key_of(9), "somebody"),
    )
    return *found, book.wrong_pins_elsewhere("somebody")


@pytest.mark.parametrize("table", ["bans", "restrictions", "passes", "wrong_pins_elsewhere"])
def test_a_wrong_bit_shuts_out_only_whom_its_row_concerns(filled: Path, table: str) -> None:
    """Of whatever bit: another card is neither banned nor refused, and has to wait for nothing.

    Bug (second penetration test, S15): one wrong bit in a ban, a pass or an index shut everybody
    out, in 18 files of 40.
    """
    with closing(BranchRecordsWriter(filled)) as writer:
        writer.keep_wrong_pins({"p-1": 7, "p-2": 9}, NOW)

    def ask() -> object:
        with closing(BranchRecords(filled)) as book:
            return others(book)

    assert answers(filled, table, ask) == {((), (), False, 0)}


def test_a_wrong_bit_in_a_day_closes_that_day_alone(filled: Path) -> None:
    """The other days, the week and a mode set by hand stand; an earlier mode is over anyhow."""
    with closing(BranchRecordsWriter(filled)) as writer:
        writer.end_override(NOW)
        writer.set_override(LOCKDOWN, NOW)
    with closing(sqlite3.connect(filled)) as other, other:
        other.execute("DROP TRIGGER overrides_changed")
        other.execute("UPDATE overrides SET until_ms = until_ms + 1 WHERE number = 1")
        other.execute("UPDATE days SET twice = replace(twice, '20', '28')")
    with closing(BranchRecords(filled)) as book:
        assert book.override() == LOCKDOWN
        assert book.damage() == "overrides, days"
        hours = hours_of(book)
        assert hours.spans(TODAY) == ()
        assert hours.spans(TODAY + DAY) == WEEK.days[(TODAY + DAY).weekday()]
    with closing(sqlite3.connect(filled)) as other, other:
        other.execute("DROP TRIGGER overrides_put")
        other.execute("UPDATE overrides SET until_ms = until_ms + 1")
    with closing(BranchRecords(filled)) as book, pytest.raises(StoreDamagedError):
        book.override()
