from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from doorctl.access.calendar import DaySource
from doorctl.access.messages import Opened
from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import StoreBusyError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.subject import BRANCH, KEPT, PATRONS, VISITS, Subject, Tombstones
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import open_reader
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons, open_or_create_patrons
from doorctl.store.subject import (
    StoredErasures,
    SubjectReader,
    erase_rights,
    erase_visits,
    forget_erased,
    restrict,
)
from doorctl.store.visits import VisitStore, create_visits
from doorctl.sync.receive import Push
from tests.store.samples import (
    DAY,
    NOON,
    SEAL,
    files_of,
    in_use_until,
    key_of,
    push,
    sealed,
    stamped,
)

TODAY = NOON.date()
CARD, OTHER = key_of(1), key_of(2)
WHO = Subject(frozenset({CARD}), "p-1")


def at(days: int = 0) -> Moment:
    """Return noon, some days later."""
    return Moment(NOON + days * DAY, NOON + days * DAY, ClockState.TRUSTED)


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[VisitStore]:
    """The writer of an empty door log."""
    create_visits(tmp_path / VISITS)
    with closing(VisitStore(tmp_path / VISITS)) as visits:
        yield visits


def stones(directory: Path) -> Tombstones:
    """Return the tombstones on disk."""
    with closing(StoredErasures(directory / BRANCH)) as erasures:
        return erasures.tombstones()


@dataclass
class Register:
    """A register in a directory."""

    directory: Path

    def __post_init__(self) -> None:
        create_patrons(self.directory / PATRONS, SEAL)

    def push(self, epoch: int, *, full: bool = True) -> None:
        """Apply a push of two patrons."""
        with (
            closing(StoredErasures(self.directory / BRANCH)) as erasures,
            closing(PatronCacheWriter(self.directory / PATRONS, SEAL, erasures)) as writer,
        ):
            push(
                writer,
                sealed(1, "p-1"),
                sealed(2, "p-2"),
                full=full,
                minimum_age=0,
                push=Push(epoch, "digest"),
            )

    def cards(self) -> frozenset[bytes]:
        """Return whose rows are held."""
        with closing(SubjectReader(self.directory / PATRONS)) as reader:
            return reader.every_card()


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("epoch", "back"), [(6, False), (7, False), (8, True)])
def test_only_a_newer_one_brings_the_person(
    epoch: int, back: bool, full: bool, writer: BranchRecordsWriter, tmp_path: Path
) -> None:
    """A snapshot and changes alike; others come with each."""
    erase_rights(writer, WHO, 7, "eva", at())
    register = Register(tmp_path)
    register.push(epoch, full=full)

    assert register.cards() == ({CARD, OTHER} if back else {OTHER})


def test_what_the_library_system_said_since_stays(
    writer: BranchRecordsWriter, tmp_path: Path
) -> None:
    """Whoever comes again after the erasure, and is a patron there, is let in again."""
    erase_rights(writer, WHO, 7, "eva", at())
    register = Register(tmp_path)
    with closing(PatronCacheWriter(tmp_path / PATRONS, SEAL)) as cache:
        for days, row in ((-1, sealed(1, "p-1")), (1, sealed(3, "p-1"))):
            day = TODAY + days * DAY
            cache.keep(row, row_until=day + DAY, pin_until=day, learnt_on=day)
    register.push(7)

    assert register.cards() == {OTHER}

    with closing(PatronCacheWriter(tmp_path / PATRONS, SEAL)) as cache:
        cache.keep(sealed(3, "p-1"), row_until=TODAY, pin_until=TODAY, learnt_on=TODAY)
    with closing(StoredErasures(tmp_path / BRANCH)) as erasures:
        PatronCacheWriter(tmp_path / PATRONS, SEAL, erasures).close()

    assert register.cards() == {OTHER, key_of(3)}


def test_a_register_that_was_restored_is_searched_at_the_start(
    writer: BranchRecordsWriter, tmp_path: Path
) -> None:
    """Whoever opens an old copy for writing, as web does, opens one without the person."""
    register = Register(tmp_path)
    register.push(7)
    erase_rights(writer, WHO, 7, "eva", at())
    with closing(StoredErasures(tmp_path / BRANCH)) as erasures:
        open_or_create_patrons(tmp_path / PATRONS, SEAL, erasures).close()

    assert register.cards() == {OTHER}


def test_a_start_outlives_erasures_that_nobody_can_read(
    writer: BranchRecordsWriter, tmp_path: Path
) -> None:
    """Then pushes are refused, not the whole of the process."""
    register = Register(tmp_path)
    register.push(7)
    writer.database.execute("DROP TABLE tombstones")
    writer.database.execute("CREATE TABLE tombstones (mark TEXT)")
    with closing(StoredErasures(tmp_path / BRANCH)) as erasures:
        open_or_create_patrons(tmp_path / PATRONS, SEAL, erasures).close()
        with pytest.raises(StoreError):
            register.push(8)

    assert register.cards() == {CARD, OTHER}


def test_a_branch_without_a_file_erased_nobody(tmp_path: Path) -> None:
    """One that does not use bans has none, and takes pushes."""
    register = Register(tmp_path)
    register.push(1)

    assert register.cards() == {CARD, OTHER}


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
    writer: BranchRecordsWriter, tmp_path: Path
) -> None:
    """The restriction stays with the person, and goes with the person's other cards."""
    restrict(writer, WHO, "eva", at())
    with closing(BranchRecords(tmp_path / BRANCH)) as book:
        found = [
            book.restricted(key, ref)
            for key, ref in ((CARD, "p-1"), (OTHER, "p-1"), (CARD, None), (CARD, "p-2"))
        ]

    assert found == [True, True, True, False]


def test_a_card_alone_can_be_restricted(writer: BranchRecordsWriter, tmp_path: Path) -> None:
    """Where the register does not know whose it is, whoever brings it is refused."""
    restrict(writer, Subject(frozenset({CARD})), "eva", at())
    with closing(BranchRecords(tmp_path / BRANCH)) as book:
        assert book.restricted(CARD, "p-1")
        assert not book.restricted(OTHER, "p-1")


def test_a_restored_log_is_erased_by_the_purge_up_to_the_erasure(
    writer: BranchRecordsWriter, tmp_path: Path, visits: VisitStore
) -> None:
    """What is newer than the erasure is another visit."""
    erase_rights(writer, WHO, 7, "eva", at())
    for number, days, key in ((1, -1, CARD), (2, 1, CARD), (3, -1, OTHER)):
        visits.open_attempt(Opened(number, stamped(NOON + days * DAY), key, None))
    deleted = forget_erased(visits.path, visits.database, stones(tmp_path))
    left = visits.database.execute("SELECT attempt FROM attempts").fetchall()

    assert (deleted, set(left)) == (1, {(2,), (3,)})


def test_wrong_pins_are_erased_with_their_patron_and_from_a_restored_log(
    writer: BranchRecordsWriter, tmp_path: Path, visits: VisitStore
) -> None:
    """By the card or by the patron's number; others' stay, and so do those since."""

    def charge(*days: int) -> None:
        for day in days:
            for whose in (CARD, "p-1", OTHER, "p-2"):
                number = visits.last_attempt() + 1
                visits.open_attempt(Opened(number, stamped(NOON + day * DAY), None, None, whose))

    def left() -> tuple[int, int]:
        return visits.wrong_pins(CARD, "p-1"), visits.wrong_pins(OTHER, "p-2")

    erase_rights(writer, WHO, 7, "eva", at())
    charge(-1)
    assert erase_visits(visits.path, visits.database, WHO).rows == 2
    assert left() == (0, 2)

    charge(-1, 1)
    assert forget_erased(visits.path, visits.database, stones(tmp_path)) == 2
    assert left() == (2, 6)


def test_an_attempt_under_way_keeps_its_number_and_loses_its_card(
    tmp_path: Path, visits: VisitStore
) -> None:
    """The door has yet to say how it ended, and fails if it is gone."""
    visits.open_attempt(Opened(1, stamped(), CARD, None))
    erase_visits(visits.path, visits.database, WHO)
    left = visits.database.execute("SELECT attempt, row_key FROM attempts").fetchall()

    assert left == [(1, None)]
    assert not any(CARD in content for content in files_of(tmp_path).values())


def test_a_reader_that_stays_is_told_and_erasing_again_ends_it(
    tmp_path: Path, visits: VisitStore
) -> None:
    """Deleted rows stay in the -wal as long as somebody reads what was before."""
    visits.open_attempt(Opened(1, stamped(), CARD, None))
    with closing(open_reader(tmp_path / VISITS)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM attempts").fetchall()
        try:
            first = erase_visits(visits.path, visits.database, WHO).checkpoint
        except StoreBusyError:
            first = (1, 0, 0)
    second = erase_visits(visits.path, visits.database, WHO).checkpoint

    assert first != (0, 0, 0)
    assert second == (0, 0, 0)


def test_a_row_of_the_register_is_found_by_either(tmp_path: Path) -> None:
    """By the card as by the number; a card of nobody is nobody's."""
    create_patrons(tmp_path / PATRONS, SEAL)
    with closing(PatronCacheWriter(tmp_path / PATRONS, SEAL)) as writer:
        push(writer, SealedRow(CARD, Patron("p-1")), minimum_age=0)
    with closing(SubjectReader(tmp_path / PATRONS)) as reader:
        assert reader.owners(frozenset({CARD, OTHER})) == {"p-1"}
        assert reader.cards("p-1") == {CARD}
        assert reader.epoch() == 1
    with closing(SubjectReader(tmp_path / VISITS)) as missing:
        assert missing.every_card() == frozenset()
