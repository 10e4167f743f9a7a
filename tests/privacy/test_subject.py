"""Whose data they are, and what becomes of whoever was erased.

Bug (attack review): a CPR number as a patron's number, as a hold's case or with commas stood in the
clear; a ban by it banned nobody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import DoorctlError, InputError, StoreError
from doorctl.privacy.subject import (
    ALL_GONE,
    BRANCH,
    CARD,
    KEPT,
    LONGEST_REF,
    PATRON,
    PATRONS,
    TRACES,
    VISITS,
    PartErased,
    Subject,
    Tombstone,
    Tombstones,
    erase,
    may_be_cpr,
    refuse_ref,
)
from doorctl.store.subject import SubjectReader, find, with_cards, with_erased
from doorctl.store.tables import TABLES, create_tables, of_database

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Book(SubjectReader):
    """A database in memory: pairs of a card and whose it is."""

    def __init__(self, *pairs: tuple[bytes, str | None]) -> None:
        self.pairs = pairs

    def owners(self, row_keys: frozenset[bytes]) -> frozenset[str]:
        """Return whose the cards are."""
        return frozenset(ref for key, ref in self.pairs if key in row_keys and ref)

    def cards(self, patron_ref: str) -> frozenset[bytes]:
        """Return whose cards they are."""
        return frozenset(key for key, ref in self.pairs if ref == patron_ref)

    def every_card(self) -> frozenset[bytes]:
        """Return all cards."""
        return frozenset(key for key, _ in self.pairs)


@pytest.mark.parametrize(
    ("cards", "register", "branch", "found"),
    [
        # All cards of the owner are the person's: the register's and those that only a ban knows.
        ([A], Book((A, "p"), (B, "p")), Book((C, "p")), Subject(frozenset({A, B, C}), "p")),
        # A card that has changed hands is theirs who has it now, and not whose it was.
        ([A], Book((A, "p"), (B, "q")), Book((A, "q")), Subject(frozenset({A}), "p")),
        ([B], Book((A, "p"), (B, "q")), Book((A, "q")), Subject(frozenset({B}), "q")),
        # The patron may have gone from the register, and the ban not.
        ([A], Book(), Book((A, "p"), (B, "p")), Subject(frozenset({A, B}), "p")),
        # Of two readings the one that is nobody's can be a stranger's card.
        ([A, B], Book((A, "p")), Book(), Subject(frozenset({A}), "p")),
        # An unknown card can have visits and a pass all the same; in both readings.
        ([A, B], Book(), Book(), Subject(frozenset({A, B}))),
    ],
)
def test_whose_card_it_is_and_which_others_are(
    cards: list[bytes], register: Book, branch: Book, found: Subject
) -> None:
    """By the register first, then by the bans."""
    assert find(cards, register, branch) == found


def test_two_patrons_are_told_apart_first() -> None:
    """Else one would be shown, or erased with, the other."""
    with pytest.raises(InputError, match="--as card"):
        find([A, B], Book((A, "p"), (B, "q")), Book())
    nobody = Subject(frozenset({A}))
    assert with_cards(nobody, Book(), Book()) == nobody


def buried(*marked: tuple[Subject, int], epoch: int = 7) -> Tombstones:
    """Return the tombstones of some persons, each with the number of the erasure."""
    empty = Tombstones(bytes(16))
    stones = {
        mark: Tombstone(mark, erasure, epoch, NOON, NOON + KEPT)
        for subject, erasure in marked
        for mark in empty.marks(subject)
    }
    return Tombstones(bytes(16), MappingProxyType(stones))


class TestTombstones:
    """Whoever was erased stays so, by whatever is old."""

    def test_a_mark_holds_nothing_of_what_it_marks(self) -> None:
        """And another branch's is another one."""
        subject = Subject(frozenset({A}), "the-person")
        here, there = (Tombstones(bytes([salt]) * 16).marks(subject) for salt in (1, 2))

        assert len(here | there) == 4
        assert not any(secret in mark for mark in here for secret in (A, b"the-person"))

    def test_rows_of_the_erased_are_left_out_by_card_and_by_number(self) -> None:
        """An older push can know a card that the branch had forgotten."""
        stones = buried((Subject(frozenset({A}), "p"), 1))
        rows = [SealedRow(A, Patron("x")), SealedRow(B, Patron("p")), SealedRow(C, Patron("q"))]

        assert [row.row_key for row in stones.without_erased(rows)] == [C]

    @pytest.mark.parametrize(("push", "stands"), [(6, True), (7, True), (8, False)])
    def test_holds_against_pushes_up_to_the_one_at_the_erasure(
        self, push: int, stands: bool
    ) -> None:
        """A later one is the library system's word of today."""
        stones = buried((Subject(frozenset({A})), 1), epoch=7)

        assert (stones.against(push).of_card(A) is not None) == stands

    def test_nobody_erased_costs_nothing(self) -> None:
        """The rows are handed on as they are, and not looked at one by one."""
        rows = [SealedRow(A, Patron("p"))]

        assert Tombstones().without_erased(rows) is rows
        assert Tombstones().of_card(A) is Tombstones().of_patron("p") is None

    def test_knows_a_persons_other_cards(self) -> None:
        """Of the same erasure, and of no other."""
        stones = buried((Subject(frozenset({A, B})), 1), (Subject(frozenset({C})), 2))
        left = (Book((B, None)), Book((C, None)))

        assert with_erased(Subject(frozenset({A})), stones, left).row_keys == {A, B}
        assert len(stones.of(Subject(frozenset({A})))) == 2
        assert with_erased(Subject(frozenset({A})), Tombstones(), left).row_keys == {A}


@dataclass
class Owner:
    """A `Keeper` that answers as it is told."""

    part: PartErased = field(default_factory=lambda: PartErased(1, ALL_GONE))
    fails: DoorctlError | None = None
    asked: list[int] = field(default_factory=list)

    def __call__(self, subject: Subject, epoch: int) -> PartErased:
        """Remember the epoch, then fail or answer."""
        assert subject == WHO
        self.asked.append(epoch)
        if self.fails is not None:
            raise self.fails
        return self.part


def owners(**changed: Owner) -> dict[str, Owner]:
    """Return all three owners, some of them changed."""
    names = {"branch": BRANCH, "visits": VISITS, "patrons": PATRONS}
    register = Owner(PartErased(1, ALL_GONE, epoch=7))
    given: dict[str, Owner] = {"branch": Owner(), "visits": Owner(), "patrons": register, **changed}
    return {names[name]: owner for name, owner in given.items()}


WHO = Subject(frozenset({A}), "p")


class TestErase:
    """What one owner can't do is told, and done the next time."""

    def test_all_three_are_asked_once(self) -> None:
        """With the push that the register holds, for the tombstone."""
        asked = owners()
        done = erase(WHO, asked, 7)

        assert (done.rows, dict(done.left), done.held) == (3, {}, ())
        assert [owner.asked for owner in asked.values()] == [[7], [7], [7]]

    @pytest.mark.parametrize("name", ["visits", "patrons"])
    def test_one_that_fails_keeps_no_other_from_erasing(self, name: str) -> None:
        """The tombstone lets the rest be found later."""
        done = erase(WHO, owners(**{name: Owner(fails=StoreError("busy"))}), 7)

        assert list(done.left.values()) == ["busy"]
        assert done.rows == 2

    def test_without_a_tombstone_nothing_is_touched(self) -> None:
        """Nobody would find the other cards again."""
        asked = owners(branch=Owner(fails=StoreError("lost")))
        done = erase(WHO, asked, 7)

        assert set(done.left) == {BRANCH, VISITS, PATRONS}
        assert [asked[name].asked for name in (VISITS, PATRONS)] == [[], []]

    def test_a_push_that_came_meanwhile_is_older_than_the_erasure_too(self) -> None:
        """It brought the person once more, and the erasure took the row it brought."""
        asked = owners(patrons=Owner(PartErased(1, ALL_GONE, epoch=8)))
        done = erase(WHO, asked, 7)

        assert asked[BRANCH].asked == [7, 8]
        assert (done.rows, dict(done.left)) == (4, {})

    def test_that_the_tombstone_could_not_be_renewed_is_told(self) -> None:
        """Else the person could come back by that push."""

        class Once(Owner):
            """Fails the second time."""

            def __call__(self, subject: Subject, epoch: int) -> PartErased:
                """Answer once."""
                self.fails = StoreError("full") if self.asked else None
                return super().__call__(subject, epoch)

        register = Owner(PartErased(1, ALL_GONE, epoch=8))

        assert dict(erase(WHO, owners(branch=Once(), patrons=register), 7).left) == {BRANCH: "full"}

    def test_traces_that_a_reader_keeps_alive_are_told(self) -> None:
        """Deleted is not gone while a byte of it is in a file."""
        done = erase(WHO, owners(visits=Owner(PartErased(3, (1, 9, 4)))), 7)

        assert dict(done.left) == {VISITS: TRACES}
        assert done.done[VISITS].rows == 3


def test_a_tombstone_outlives_what_could_bring_somebody_back() -> None:
    """As long as the library itself keeps an inactive patron."""
    assert timedelta(days=3 * 365) <= KEPT <= timedelta(days=3 * 366)


def test_nothing_of_a_person_is_shown_by_accident() -> None:
    """A traceback or a log line that quotes a subject names nobody."""
    shown: Iterable[object] = (WHO, buried((WHO, 1)))

    assert "p'" not in "".join(map(repr, shown))
    assert "\\x01" not in "".join(map(repr, shown))


@pytest.mark.parametrize(
    "typed",
    [
        *("0101701234", "010170-1234", " 01 01 70 / 1234 ", "010170\u20131234", "610170.1234"),
        *("٠١٠١٧٠١٢٣٤", "cpr 0101701234", "0101701234AB", "01017012345"),
    ],
)
def test_what_may_be_a_cpr_number(typed: str) -> None:
    """However it is spaced, a replacement number too, and never quoted."""
    assert may_be_cpr(typed)
    with pytest.raises(InputError, match="CPR number") as refusal:
        refuse_ref(typed)
    assert typed not in str(refusal.value)


@pytest.mark.parametrize(
    "typed",
    ["1001", "the-person-1001", "sip2-0f3a", "3201701234", "0101701234567", "1" * 64],
)
def test_what_may_be_a_library_systems_number(typed: str) -> None:
    """Ten digits that are no date too."""
    assert not may_be_cpr(typed)
    refuse_ref(typed)


@pytest.mark.parametrize("typed", ["Anna And", ";3000001234?", "-1", "ø7", "1" * (LONGEST_REF + 1)])
def test_what_is_no_number(typed: str) -> None:
    """A name, a swipe, what is too long."""
    with pytest.raises(InputError, match="at most 64"):
        refuse_ref(typed)


def test_nothing_is_nobody() -> None:
    """That is for whoever needs somebody to say."""
    refuse_ref("")


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
