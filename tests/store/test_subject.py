"""A person in the databases: found, shown, erased, and not brought back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DaySource
from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Patron, Reason, SealedRow
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import CardThrottle
from doorctl.core.errors import BranchStoreError, InputError, StoreBusyError, StoreError
from doorctl.core.moments import BootTime
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.erasure import ALL_GONE
from doorctl.privacy.export import Export, HeldRow, lookups
from doorctl.privacy.subject import Subject
from doorctl.privacy.tables import BRANCH, PATRONS, VISITS
from doorctl.privacy.tombstones import KEPT, Tombstones
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.erasure import erase_patron, erase_rights, erase_visits, forget_erased
from doorctl.store.objections import restrict
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons, open_or_renew_patrons
from doorctl.store.records import AuditRecords, AuditTrail
from doorctl.store.subject import SubjectReader, find, with_cards, with_erased
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visits import VisitStore, create_visits
from doorctl.sync.receive import Push
from tests.store.samples import (
    DAY,
    NOON,
    NOW,
    SEAL,
    Cache,
    Log,
    at,
    files_of,
    in_use_until,
    key_of,
    push,
    reading,
    sealed,
    stamped,
)

EVER = datetime(1970, 1, 1, tzinfo=UTC)
BOOT = BootTime("boot-1", 60_000)
PERSON, SOMEBODY = "the-person-1001", "somebody-else-1002"
CARDS = {PERSON: (1, 2, 3), SOMEBODY: (4, 5)}
TODAY = NOON.date()
BAN = Ban(0, "noise", NOON - DAY, NOON + 30 * DAY, "staff-7", frozenset({"*"}))
PASS = Pass(0, PassKind.CLEANER, TODAY, TODAY + 9 * DAY, label="Cleaning", pin_check=bytes(32))
ABOUT_ALL = frozenset({"audit", "tombstones", "tombstone_salt", "sqlite_sequence", "cache"})
"""Tables that say what happened, whoever it was about."""


@dataclass
class House:
    """Three real databases, written as the daemons write them."""

    directory: Path
    stack: ExitStack
    attempts: int = 0

    def __post_init__(self) -> None:
        create_patrons(self.directory / PATRONS, SEAL)
        create_branch(self.directory / BRANCH)
        create_visits(self.directory / VISITS)
        self.erasures = self._close(StoredErasures(self.directory / BRANCH))
        self.patrons = self._close(PatronCacheWriter(self.directory / PATRONS, SEAL, self.erasures))
        self.branch = self._close(BranchRecordsWriter(self.directory / BRANCH))
        self.visits = self._close(VisitStore(self.directory / VISITS))
        self.audit = AuditTrail(self.branch)
        self.readers = {
            name: self._close(SubjectReader(self.directory / name))
            for name in (PATRONS, BRANCH, VISITS)
        }
        self.looks = self._close(AuditRecords(self.directory / BRANCH))

    def store(self, what: str, whose: str, number: int) -> None:
        """Store something of a person, as of one of their cards."""
        getattr(self, f"_{what}")(whose, key_of(number))

    def _push(self, whose: str, key: bytes) -> None:
        rows = [SealedRow(key_of(number), Patron(whose)) for number in CARDS[whose]]
        # Not every card: some are known by other things alone.
        push(self.patrons, *[row for row in rows if row.row_key <= key], full=False, minimum_age=0)

    def _learn(self, whose: str, key: bytes) -> None:
        row = SealedRow(key, Patron(whose, pin_check=bytes(range(32))))
        self.patrons.keep(row, row_until=TODAY, pin_until=TODAY, learnt_on=TODAY)

    def _ban_card(self, _whose: str, key: bytes) -> None:
        self.branch.ban(BAN, NOW, row_key=key, patron_ref=None)

    def _ban_patron(self, whose: str, _key: bytes) -> None:
        self.branch.ban(BAN, NOW, row_key=None, patron_ref=whose)

    def _ban_both(self, whose: str, key: bytes) -> None:
        self.branch.lift(self.branch.ban(BAN, NOW, row_key=key, patron_ref=whose).number, NOW)

    def _pass(self, _whose: str, key: bytes) -> None:
        try:
            self.branch.revoke(self.branch.issue(PASS, NOW, row_key=key).number, NOW)
            self.branch.issue(PASS, NOW, row_key=key)
        except InputError:
            pass  # The card has one.

    def _restrict(self, whose: str, key: bytes) -> None:
        with suppress(InputError):  # They may be already.
            restrict(self.branch, Subject(frozenset({key}), whose), "staff-7", NOW)

    def _visit(self, _whose: str, key: bytes) -> None:
        self.attempts += 1
        self.visits.open_attempt(Opened(self.attempts, stamped(), key, CardThrottle(1, BOOT)))
        self.visits.close_attempt(
            Closed(self.attempts, Reason.WRONG_PIN, key, CardThrottle(2, BOOT))
        )

    def _being_there(self, _whose: str, key: bytes) -> None:
        self.attempts += 1
        self.visits.open_attempt(Opened(self.attempts, stamped(), key, None))

    def _look(self, whose: str, key: bytes) -> None:
        self.audit.append(Deed(Action.PATRON_EXPLAINED, (key,), None, "asked"), "staff-7", NOW)
        self.audit.append(Deed(Action.BAN_ADDED, (), whose), "staff-7", NOW)

    def subject(self, number: int) -> Subject:
        """Return whose a card is."""
        register, branch, visits = (self.readers[name] for name in (PATRONS, BRANCH, VISITS))
        found = find([key_of(number)], register, branch)
        return with_erased(found, self.erasures.tombstones(), (branch, visits))

    def export(self, subject: Subject) -> Export:
        """Return all that is held of a person."""
        rows = tuple(row for one in self.readers.values() for row in one.rows(subject, EVER))
        named = self.looks.about(subject.row_keys, subject.patron_ref)
        looks = lookups(rows, named, self.looks.entries)
        return Export(rows, looks, self.erasures.tombstones().of(subject))

    def erase(self, subject: Subject) -> None:
        """Erase a person, as the owners do."""
        epoch = self.readers[PATRONS].epoch()
        done = (
            erase_rights(self.branch, subject, epoch, "staff-7", NOW),
            erase_visits(self.visits, subject),
            erase_patron(self.patrons, subject),
        )
        assert [part.checkpoint for part in done] == [ALL_GONE] * 3

    def stored(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield every row of every table of every database, whatever tables there are."""
        for name in (PATRONS, BRANCH, VISITS):
            with closing(sqlite3.connect(self.directory / name)) as database:
                database.row_factory = sqlite3.Row
                tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (table,) in tables.fetchall():
                    for row in database.execute(f"SELECT * FROM {table}"):  # noqa: S608 -- ours
                        yield name, table, dict(row)

    def _close(self, closable: Any) -> Any:
        return self.stack.enter_context(closing(closable))


def traces(whose: str) -> tuple[bytes, ...]:
    """Return all by which a person could be found in bytes."""
    keys = [key_of(number) for number in CARDS[whose]]
    return (whose.encode(), *keys, *(key.hex().encode() for key in keys))


def is_of(row: dict[str, Any], whose: str) -> bool:
    """Tell whether any value of a row is of a person."""
    written = [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
    return any(trace in value for trace in traces(whose) for value in written)


def as_row(row: HeldRow) -> tuple[str, str, tuple[tuple[str, Any], ...]]:
    """Return a row so that it can be compared with what is stored."""
    values = zip(row.table.names, row.values, strict=True)
    return row.table.database, row.table.name, tuple(sorted(values))


THINGS = (
    *("push", "learn", "ban_card", "ban_patron", "ban_both", "pass"),
    *("restrict", "visit", "being_there", "look"),
)
STORED = st.lists(
    st.tuples(st.sampled_from(THINGS), st.sampled_from([PERSON, SOMEBODY]), st.integers(0, 1)),
    max_size=14,
)


@given(stored=STORED)
def test_export_holds_all_and_erasure_leaves_nothing(stored: list[tuple[str, str, int]]) -> None:
    """Invariant 29, whatever was stored in whatever order, by raw rows and raw bytes.

    The person brings all cards. What is held of somebody else stays to the letter.
    """
    with TemporaryDirectory() as directory, ExitStack() as stack:
        house = House(Path(directory), stack)
        for what, whose, index in stored:
            house.store(what, whose, CARDS[whose][index])
        subjects = [house.subject(number) for number in CARDS[PERSON]]
        named = with_cards(
            Subject(frozenset(), PERSON), house.readers[PATRONS], house.readers[BRANCH]
        )
        exports = [house.export(subject) for subject in (*subjects, named)]
        shown = {as_row(row) for export in exports for row in export.rows}
        held = [
            (database, table, tuple(sorted(row.items())))
            for database, table, row in house.stored()
            if table not in ABOUT_ALL and is_of(row, PERSON)
        ]
        looks = [row for _, table, row in house.stored() if table == "audit" and is_of(row, PERSON)]
        others = _of_others(house)

        assert set(held) == shown
        assert (max(len(export.lookups) for export in exports) > 0) == bool(looks)

        house.erase(named)
        for number in CARDS[PERSON]:
            house.erase(house.subject(number))

        assert [house.export(house.subject(number)).empty for number in CARDS[PERSON]] == [True] * 3
        assert _of_others(house) == others
        for name, content in files_of(house.directory).items():
            assert [name for trace in traces(PERSON) if trace in content] == []
        assert house.erasures.tombstones().of_patron(PERSON) is not None


def _of_others(house: House) -> list[tuple[str, str, tuple[tuple[str, Any], ...]]]:
    return [
        (database, table, tuple(sorted(row.items(), key=lambda pair: pair[0])))
        for database, table, row in house.stored()
        if table not in ABOUT_ALL and is_of(row, SOMEBODY)
    ]


CARD, OTHER = key_of(1), key_of(2)
WHO = Subject(frozenset({CARD}), "p-1")


def stones(directory: Path) -> Tombstones:
    """Return the tombstones on disk."""
    with closing(StoredErasures(directory / BRANCH)) as erasures:
        return erasures.tombstones()


@pytest.fixture
def register(cache: Cache, tmp_path: Path) -> Iterator[Cache]:
    """A register beside the branch's erasures."""
    with closing(StoredErasures(tmp_path / BRANCH)) as erasures:
        cache.writer.erasures = erasures
        yield cache


def push_two(register: Cache, epoch: int, *, full: bool = True) -> None:
    """Apply a push of two patrons."""
    pushed = Push(epoch, "digest")
    register.push(sealed(1, "p-1"), sealed(2, "p-2"), full=full, push=pushed)


def start(register: Cache) -> None:
    """Open the register for writing, as web does at its start."""
    register.writer.close()
    erasures = register.writer.erasures
    open_or_renew_patrons(register.path, NOON, SEAL, erasures, Policy())[0].close()


def test_a_branch_without_a_file_erased_nobody(register: Cache) -> None:
    """One that does not use bans has none, and takes pushes."""
    push_two(register, 1)

    assert register.known(range(4)) == {1: "p-1", 2: "p-2"}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("epoch", "back"), [(6, False), (7, False), (8, True)])
def test_only_a_newer_one_brings_the_person(
    epoch: int, back: bool, full: bool, writer: BranchRecordsWriter, register: Cache
) -> None:
    """A snapshot and changes alike; others come with each."""
    erase_rights(writer, WHO, 7, "eva", at())
    push_two(register, epoch, full=full)

    assert register.known(range(4)) == ({1: "p-1"} if back else {}) | {2: "p-2"}


def test_what_the_library_system_said_since_stays(
    writer: BranchRecordsWriter, register: Cache
) -> None:
    """Whoever comes again after the erasure, and is a patron there, is let in again."""
    erase_rights(writer, WHO, 7, "eva", at())
    for days, row in ((-1, sealed(1, "p-1")), (1, sealed(3, "p-1"))):
        day = TODAY + days * DAY
        register.writer.keep(row, row_until=day + DAY, pin_until=day, learnt_on=day)
    push_two(register, 7)

    assert register.known(range(4)) == {2: "p-2"}

    asked = sealed(3, "p-1")
    register.writer.keep(asked, row_until=TODAY, pin_until=TODAY, learnt_on=TODAY)
    start(register)

    assert register.known(range(4)) == {2: "p-2", 3: "p-1"}


def test_a_register_that_was_restored_is_searched_at_the_start(
    writer: BranchRecordsWriter, register: Cache
) -> None:
    """Whoever opens an old copy for writing, as web does, opens one without the person."""
    push_two(register, 7)
    erase_rights(writer, WHO, 7, "eva", at())
    start(register)

    assert register.known(range(4)) == {2: "p-2"}


def test_a_start_outlives_erasures_that_nobody_can_read(
    writer: BranchRecordsWriter, register: Cache
) -> None:
    """Then pushes are refused, not the whole of the process."""
    push_two(register, 7)
    writer.database.execute("DROP TABLE tombstones")
    writer.database.execute("CREATE TABLE tombstones (mark TEXT)")
    with pytest.raises(StoreError, match=BRANCH):
        push_two(register, 8)
    start(register)

    assert register.known(range(4)) == {1: "p-1", 2: "p-2"}


def test_damage_to_the_erasures_is_none_of_the_register(tmp_path: Path, register: Cache) -> None:
    """It names the branch's own file: the register is not set aside for it."""
    (tmp_path / BRANCH).write_bytes(b"no database" * 1000)

    with pytest.raises(BranchStoreError, match=BRANCH):
        push_two(register, 8)


def test_one_is_renewed_and_never_lowered(writer: BranchRecordsWriter, tmp_path: Path) -> None:
    """Erasing again with a register that was lost must not open the way to older pushes."""
    erase_rights(writer, WHO, 7, "eva", at())
    erase_rights(writer, Subject(frozenset({CARD})), 0, "eva", at(3))
    found = stones(tmp_path)

    assert {one.epoch for one in found.by_mark.values()} == {7}
    assert {one.erased_at for one in found.by_mark.values()} == {NOON + 3 * DAY}
    assert {one.erasure for one in found.by_mark.values()} == {1}


def test_two_persons_are_two_erasures(writer: BranchRecordsWriter, tmp_path: Path) -> None:
    """One of them is never taken for the other."""
    erase_rights(writer, WHO, 7, "eva", at())
    erase_rights(writer, Subject(frozenset({OTHER})), 7, "eva", at())

    assert {one.erasure for one in stones(tmp_path).by_mark.values()} == {1, 2}


def test_one_goes_when_its_time_is_over(writer: BranchRecordsWriter, tmp_path: Path) -> None:
    """It is about a person too, if about nobody by name."""
    erase_rights(writer, WHO, 7, "eva", at())
    late = at(KEPT.days + 40)
    in_use_until(writer, late)
    writer.set_days(DaySource.HOLIDAY, (), late, known_until=None)

    assert stones(tmp_path).by_mark == {}


def test_a_card_that_has_changed_hands_is_its_new_owners(
    writer: BranchRecordsWriter, book: BranchRecords
) -> None:
    """The restriction stays with the person, and goes with the person's other cards."""
    restrict(writer, WHO, "eva", at())
    asked = ((CARD, "p-1"), (OTHER, "p-1"), (CARD, None), (CARD, "p-2"))

    assert [book.restricted(*who) for who in asked] == [True, True, True, False]


def test_a_card_alone_can_be_restricted(writer: BranchRecordsWriter, book: BranchRecords) -> None:
    """Where the register does not know whose it is, whoever brings it is refused."""
    restrict(writer, Subject(frozenset({CARD})), "eva", at())

    assert book.restricted(CARD, "p-1")
    assert not book.restricted(OTHER, "p-1")


def test_a_restored_log_is_erased_by_the_purge_up_to_the_erasure(
    writer: BranchRecordsWriter, tmp_path: Path, log: Log
) -> None:
    """What is newer than the erasure is another visit."""
    erase_rights(writer, WHO, 7, "eva", at())
    for number, days, card in ((1, -1, 1), (2, 1, 1), (3, -1, 2)):
        log.open(number, NOON + days * DAY, card)
    deleted = forget_erased(log.store, stones(tmp_path))
    left = log.store.database.execute("SELECT attempt FROM attempts").fetchall()

    assert (deleted, set(left)) == (1, {(2,), (3,)})


def test_wrong_pins_are_erased_with_their_patron_and_from_a_restored_log(
    writer: BranchRecordsWriter, tmp_path: Path, log: Log
) -> None:
    """By the card or by the patron's number; others' stay, and so do those since."""

    def charge(*days: int) -> None:
        for day in days:
            for whose in (CARD, "p-1", OTHER, "p-2"):
                log.open(log.store.last_attempt() + 1, NOON + day * DAY, None, None, whose)

    def left() -> tuple[int, int]:
        return log.store.wrong_pins(CARD, "p-1"), log.store.wrong_pins(OTHER, "p-2")

    erase_rights(writer, WHO, 7, "eva", at())
    charge(-1)
    assert erase_visits(log.store, WHO).rows == 2
    assert left() == (0, 2)

    charge(-1, 1)
    assert forget_erased(log.store, stones(tmp_path)) == 2
    assert left() == (2, 6)


def test_an_attempt_under_way_keeps_its_number_and_loses_its_card(tmp_path: Path, log: Log) -> None:
    """The door has yet to say how it ended, and fails if it is gone."""
    log.open(1, card=1)
    erase_visits(log.store, WHO)
    left = log.store.database.execute("SELECT attempt, row_key FROM attempts").fetchall()

    assert left == [(1, None)]
    assert not any(CARD in content for content in files_of(tmp_path).values())


def test_a_reader_that_stays_is_told_and_erasing_again_ends_it(log: Log) -> None:
    """Deleted rows stay in the -wal as long as somebody reads what was before."""
    log.open(1, card=1)
    with reading(log.path, "attempts"):
        try:
            first = erase_visits(log.store, WHO).checkpoint
        except StoreBusyError:
            first = (1, 0, 0)
    second = erase_visits(log.store, WHO).checkpoint

    assert first != (0, 0, 0)
    assert second == (0, 0, 0)


def test_a_row_of_the_register_is_found_by_either(cache: Cache, tmp_path: Path) -> None:
    """By the card as by the number; a card of nobody is nobody's."""
    cache.push(SealedRow(CARD, Patron("p-1")))
    with closing(SubjectReader(tmp_path / PATRONS)) as reader:
        assert reader.owners(frozenset({CARD, OTHER})) == {"p-1"}
        assert reader.cards("p-1") == {CARD}
        assert reader.epoch() == 1
    with closing(SubjectReader(tmp_path / VISITS)) as missing:
        assert missing.every_card() == frozenset()
