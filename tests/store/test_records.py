"""The audit log and the alarms in branch.db: what they do, tampering, crashes, bytes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import KINDS, Source
from doorctl.core.errors import InputError, StoreDamagedError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import Action, Deed, Entry
from doorctl.privacy.audit_chain import EMPTY, Head, Verdict, erased_numbers, verify
from doorctl.store.alarms import LEFT_ENDED, MOST_ENDED, AlarmRecords, StoredAlarms
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_purge import KEPT_AFTER_END
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.records import AuditRecords, AuditTrail, LastBackup
from tests.store.samples import BAN, DAY, NOON, NOW, at, files_of, in_use_until, key_of

LOOK = Deed(Action.PATRON_EXPLAINED, (key_of(1),), "a-marked-ref", "a marked reason")
LIST = Deed(Action.VISITS_LISTED, details={"visits": 12})


def look_at(number: int) -> Deed:
    """Return a look at a card."""
    return Deed(Action.PATRON_EXPLAINED, (key_of(number),))


def explain(trail: AuditTrail, erased: tuple[int, ...], moment: Moment = NOW) -> Head:
    """Say on the log which entries were erased, as an erasure does."""
    deed = Deed(Action.SUBJECT_ERASED, details=erased_numbers(erased))
    return trail.append(deed, "grethe", moment)


def verdict_on(path: Path, *anchors: Head) -> Verdict:
    """Check the chain in a file."""
    with closing(AuditRecords(path)) as records:
        return verify(records.links(), records.last_number(), anchors)


@dataclass
class Audit:
    """An audit log's two sides, and the writer of the file in which it stands."""

    branch: BranchRecordsWriter
    reader: AuditRecords
    writer: AuditTrail

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self.branch.path

    def add(self, *deeds: Deed, on: Moment = NOW) -> list[Head]:
        """Put deeds on record."""
        return [self.writer.append(deed, "grethe", on) for deed in deeds]

    def verdict(self) -> Verdict:
        """Check the chain."""
        return verdict_on(self.path)

    def numbers(self) -> list[int]:
        """Return the numbers that were not erased."""
        return [one.number for one in self.reader.entries()]


@pytest.fixture
def audit(path: Path, writer: BranchRecordsWriter) -> Iterator[Audit]:
    """An audit log on which nothing stands."""
    with closing(AuditRecords(path)) as reader:
        yield Audit(writer, reader, AuditTrail(writer))


def without_triggers(path: Path, *statements: str) -> None:
    """Change a file as whoever owns the card can."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for name in ("audit_grows", "audit_stays", "audit_erases"):
            other.execute(f"DROP TRIGGER IF EXISTS {name}")
        other.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert other.execute(statement).rowcount in {1, -1}


FORBIDDEN = (
    "DELETE FROM audit",
    "DELETE FROM audit WHERE number = 2",
    "UPDATE audit SET record = '{}' WHERE number = 1",
    "UPDATE audit SET record = '{}', salt = zeroblob(32) WHERE number = 2",
    "UPDATE audit SET record = NULL WHERE number = 1",
    "UPDATE audit SET salt = NULL WHERE number = 1",
    "UPDATE audit SET commitment = zeroblob(32), record = NULL, salt = NULL WHERE number = 1",
    "UPDATE audit SET hash = zeroblob(32), record = NULL, salt = NULL WHERE number = 1",
    "UPDATE audit SET number = 7, record = NULL, salt = NULL WHERE number = 1",
    "INSERT OR REPLACE INTO audit VALUES (1, '{}', zeroblob(32), zeroblob(32), zeroblob(32))",
    "INSERT INTO audit VALUES (5, '{}', zeroblob(32), zeroblob(32), zeroblob(32))",
    "INSERT INTO audit VALUES (NULL, '{}', zeroblob(32), zeroblob(32), zeroblob(32))",
    "INSERT INTO audit VALUES (4, NULL, NULL, zeroblob(32), zeroblob(32))",
    "UPDATE OR REPLACE audit SET number = 2, record = NULL, salt = NULL WHERE number = 1",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_table_only_grows_and_is_only_erased(audit: Audit, statement: str) -> None:
    """A slip of ours is refused by the file itself, and nothing is changed."""
    audit.add(LOOK, look_at(2), LIST)
    audit.writer.erase_about([key_of(2)], None, NOW)
    with closing(sqlite3.connect(audit.path, isolation_level=None)) as other:
        before = list(other.iterdump())
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(statement)

        assert list(other.iterdump()) == before


TAMPER = (
    "UPDATE audit SET record = replace(record, 'grethe', 'gerda') WHERE number = {}",
    "UPDATE audit SET record = CAST(x'7b80ff' AS TEXT) WHERE number = {}",
    "UPDATE audit SET salt = zeroblob(32) WHERE number = {}",
    "UPDATE audit SET salt = NULL WHERE number = {}",
    "UPDATE audit SET commitment = zeroblob(32) WHERE number = {}",
    "UPDATE audit SET hash = zeroblob(32) WHERE number = {}",
    "UPDATE audit SET number = number + 1000 WHERE number = {}",
    "DELETE FROM audit WHERE number = {}",
)


@pytest.mark.parametrize("tamper", TAMPER)
def test_tampering_with_the_file_is_found(audit: Audit, tamper: str) -> None:
    """Though the triggers are gone: the number is named, be it in the middle or the last."""
    audit.add(LOOK, LOOK, LOOK)
    audit.branch.close()
    for number in (2, 3):
        copy = audit.path.with_name(f"copy-{number}.db")
        shutil.copy(audit.path, copy)
        without_triggers(copy, "DROP INDEX audit_by_time", tamper.format(number))

        assert verdict_on(copy).broken == number
    assert audit.verdict().broken is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("erase"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.integers(1, 150)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


@given(STEPS, st.sampled_from(TAMPER), st.data())
def test_whatever_was_appended_and_erased_the_chain_holds_and_tampering_is_found(
    steps: list[tuple[str, int]], tamper: str, data: st.DataObject
) -> None:
    """Any order of looks, erasures, half-years and restarts leaves every kept head in the chain."""
    day, anchors = 0, [EMPTY]
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path = Path(directory, "branch.db")
        create_branch(path)
        writer = stack.enter_context(closing(BranchRecordsWriter(path)))
        for step, number in steps:
            match step:
                case "append":
                    deed = Deed(Action.PATRON_EXPLAINED, (key_of(number),), "p-1")
                    anchors.append(AuditTrail(writer).append(deed, "grethe", at(day)))
                case "erase":
                    trail = AuditTrail(writer)
                    erased = trail.erase_about([key_of(number)], None, at(day))
                    anchors.append(explain(trail, erased, at(day)))
                case "wait":
                    day += number
                case _:
                    writer.close()
                    writer = stack.enter_context(closing(BranchRecordsWriter(path)))
            verdict = verdict_on(path, *anchors)
            assert (verdict.broken, verdict.head) == (None, anchors[-1])
        writer.close()
        if len(anchors) > 1:
            number = data.draw(st.integers(1, len(anchors) - 1))
            with closing(sqlite3.connect(path)) as other:
                sql = "SELECT record IS NULL FROM audit WHERE number = ?"
                gone = other.execute(sql, (number,)).fetchone()[0]
            if not (gone and tamper in TAMPER[:4]):
                without_triggers(path, "DROP INDEX audit_by_time", tamper.format(number))
                assert verdict_on(path).broken == number


def look_for_ever(path: str) -> None:
    """Append again and again, telling each head once it is durable."""
    with closing(BranchRecordsWriter(Path(path))) as writer:
        for number in count():
            head = AuditTrail(writer).append(look_at(number % 3), "grethe", at(number))
            sys.stdout.write(f"{head}\n")
            sys.stdout.flush()


@pytest.mark.parametrize("told", [1, 60])
def test_a_killed_writer_leaves_a_sound_chain_with_all_that_it_told(path: Path, told: int) -> None:
    """SIGKILL at any point, in the middle of an erasure too: every head that was told is in it."""
    child = "import sys, tests.store.test_records as t; t.look_for_ever(sys.argv[1])"
    with subprocess.Popen(
        [sys.executable, "-c", child, path], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        assert process.stdout is not None
        heads = [Head.read(process.stdout.readline().strip()) for _ in range(told)]
        os.kill(process.pid, signal.SIGKILL)
        heads += [Head.read(line) for line in process.stdout.read().split()]

    verdict = verdict_on(path, *heads)
    assert verdict.broken is None
    assert verdict.entries - len(heads) in {0, 1}
    with closing(BranchRecordsWriter(path)) as writer:
        AuditTrail(writer).append(LIST, "grethe", NOW)
    assert verdict_on(path, *heads).broken is None


def test_a_write_that_is_cut_off_at_any_byte_leaves_a_sound_chain(audit: Audit) -> None:
    """Of the file's -wal any beginning may be all that reached the card."""
    path = audit.path
    # As where a reader keeps the file itself from being written.
    audit.branch.database.execute("PRAGMA wal_autocheckpoint=0")
    heads = [EMPTY, *audit.add(LOOK, LOOK, LOOK)]
    wal = Path(f"{path}-wal").read_bytes()
    seen = set()
    for length in (*range(0, len(wal), 509), len(wal)):
        cut = path.parent / f"cut-{length}" / "branch.db"
        cut.parent.mkdir()
        shutil.copy(path, cut)
        Path(f"{cut}-wal").write_bytes(wal[:length])
        with closing(BranchRecordsWriter(cut)):
            verdict = verdict_on(cut)
        assert verdict.broken is None
        assert verdict.head == heads[verdict.entries]
        seen.add(verdict.entries)
        shutil.rmtree(cut.parent)

    assert seen == {0, 1, 2, 3}


FAILS = "CREATE TRIGGER fails BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'told to fail'); END"


def test_a_change_and_its_entry_are_durable_together_or_not_at_all(
    audit: Audit, book: BranchRecords
) -> None:
    """Where the block raises, or the log takes no entry, the ban that it would tell of is not kept.

    No number is lost by it.
    """
    audit.add(LIST)

    def ban(*, fails: bool = False) -> None:
        with audit.writer.together(NOW):
            audit.branch.ban(BAN, NOW, row_key=key_of(1), patron_ref=None)
            audit.add(LOOK, LIST)
            if fails:
                raise InputError("told to fail")

    with pytest.raises(InputError):
        ban(fails=True)
    audit.branch.database.execute(FAILS)
    with pytest.raises(StoreError):
        ban()
    assert (book.every_ban(), audit.numbers()) == ((), [1])
    audit.branch.database.execute("DROP TRIGGER fails")
    ban()

    assert (len(book.every_ban()), audit.numbers()) == (1, [1, 2, 3])
    assert audit.verdict().broken is None


MARKS = [b"a marked reason", b"a-marked-ref", key_of(1).hex().encode()]


def _left(path: Path) -> list[bytes]:
    everything = b"".join(files_of(path.parent).values())
    return [mark for mark in MARKS if mark in everything]


@pytest.mark.parametrize(
    "erase",
    [
        lambda trail: [trail.append(LIST, "grethe", at(day)) for day in range(1, 186, 2)],
        lambda trail: explain(trail, trail.erase_about([key_of(1)], None, NOW)),
        lambda trail: explain(trail, trail.erase_about([], "a-marked-ref", NOW)),
    ],
    ids=["age", "card", "patron"],
)
def test_no_byte_is_left_of_an_erased_record(
    audit: Audit, erase: Callable[[AuditTrail], object]
) -> None:
    """Neither in the file nor in its -wal, nor the index."""
    for number in range(50):
        audit.add(LOOK, look_at(2 + number))
    assert _left(audit.path) == MARKS

    erase(audit.writer)

    assert _left(audit.path) == []
    assert audit.verdict().broken is None


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE audit SET record = '{"secret": 1}'""",
        """UPDATE audit SET record = '["secret"]'""",
        "UPDATE audit SET record = replace(record, 'patron_explained', 'secret')",
    ],
)
def test_a_record_that_nobody_wrote_is_damage_and_is_not_quoted(
    audit: Audit, statement: str
) -> None:
    """Whoever lists is told to verify, which names the entry."""
    audit.add(LOOK)
    without_triggers(audit.path, statement)

    with pytest.raises(StoreDamagedError, match="doorctl audit verify") as caught:
        audit.reader.entries()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert audit.verdict().broken == 1


def test_a_lower_number_takes_the_place_of_the_last_push(audit: Audit) -> None:
    """Else a number that none can follow would stay the floor for whoever loses the register."""
    for action, epoch in (
        (Action.PUSH_APPLIED, 2**63 - 1),
        (Action.PATRONS_RENUMBERED, 41),
        (Action.PUSH_APPLIED, 42),
    ):
        audit.add(Deed(action, details={"epoch": epoch}))
        assert audit.reader.last_push() == epoch


FULL_LOOK = Deed(
    Action.PATRON_EXPLAINED, (key_of(1), key_of(2)), "p-1", "æ 'call'", {"number": 7, "day": "x"}
)
OTHER_LOOK = Deed(Action.PATRON_EXPLAINED, (key_of(3),), "p-3")


def found(backups: LastBackup) -> tuple[datetime | None, datetime | None]:
    """Return when the last one was made, and when the log began."""
    return backups.made, backups.began


def test_the_last_backup_is_found_by_what_is_new(audit: Audit) -> None:
    """An entry that was looked at is not looked at again, though no backup was ever made.

    Bug (found beside S5): where none was made, the door read the whole log each minute.
    """
    made = Deed(Action.BACKUP_MADE, details={"recipients": 1})
    backups = LastBackup()
    backups.look(audit.reader)
    assert found(backups) == (None, None)
    audit.add(LIST, Deed(Action.BACKUP_MADE), LOOK)
    backups.look(audit.reader)
    assert found(backups) == (None, NOW.local)
    # Whoever looks at it again takes it for a backup.
    without_triggers(
        audit.path,
        """UPDATE audit SET record = json_set(
            record, '$.action', 'backup_made', '$.details.recipients', 1) WHERE number = 2""",
    )
    backups.look(audit.reader)
    assert found(backups)[0] is None
    audit.add(LOOK, made, LOOK, on=at(1))
    for _ in range(2):
        backups.look(audit.reader)
        assert found(backups) == (at(1).local, NOW.local)


def test_another_log_in_its_place_is_looked_at_anew(audit: Audit, tmp_path: Path) -> None:
    """As of a branch.db that was restored, or begun anew beside a damaged one."""
    made = Deed(Action.BACKUP_MADE, details={"recipients": 1})
    backups = LastBackup()
    audit.add(LOOK, made)
    backups.look(audit.reader)
    other = tmp_path / "other.db"
    create_branch(other)
    with closing(BranchRecordsWriter(other)) as writer, closing(AuditRecords(other)) as reader:
        backups.look(reader)
        assert found(backups)[0] is None
        for _ in range(3):
            AuditTrail(writer).append(LOOK, "grethe", at(1))
        backups.look(reader)
        assert found(backups) == (None, at(1).local)


def test_a_deed_comes_back_as_it_was_told(audit: Audit) -> None:
    """With its number, how good the clock was, who, and when, to the millisecond, rounded down."""
    moment = Moment(NOON + timedelta(microseconds=1999), NOON, ClockState.HOLDOVER)
    (head,) = audit.add(FULL_LOOK, on=moment)

    (entry,) = audit.reader.entries()
    noted = NOON.astimezone(UTC) + timedelta(milliseconds=1)
    assert entry == Entry(1, noted, ClockState.HOLDOVER, "grethe", FULL_LOOK)
    assert head.number == 1
    assert audit.reader.head() == audit.writer.head() == head


def test_a_head_is_known_by_number_and_hash(audit: Audit) -> None:
    """Whatever came after it, and though its record was erased; no other number has that hash."""
    heads = audit.add(LIST, FULL_LOOK, LIST)
    audit.writer.erase_about([], FULL_LOOK.patron_ref, at())

    assert all(map(audit.writer.holds, [EMPTY, *heads]))
    for head in heads:
        assert not audit.writer.holds(Head(head.number, bytes(32)))
        assert not audit.writer.holds(Head(head.number + 1, head.hash))
    assert not audit.writer.holds(Head(0, bytes(32)))


def test_the_last_entry_before_a_time_is_found(audit: Audit) -> None:
    """By a clock that somebody vouches for; what an unset one dates may be of any day."""
    for moment in (at(), at(1), at(2), at(-9, ClockState.UNTRUSTED)):
        audit.add(LIST, on=moment)

    found = [audit.writer.last_before(NOON + days * DAY) for days in (0, 1, 2, 9)]

    assert [one and one[0] for one in found] == [None, 1, 2, 3]
    assert found[1] == (1, NOON.astimezone(UTC))


def test_entries_are_numbered_and_listed_from_a_time_on(audit: Audit) -> None:
    """Oldest first, by the time that stands in them."""
    for day in range(4):
        audit.add(LIST, on=at(day))

    assert audit.numbers() == [1, 2, 3, 4]
    assert [one.number for one in audit.reader.entries(NOON + 2 * DAY)] == [3, 4]
    assert audit.verdict().entries == 4


def test_who_looked_at_a_person_is_found_by_card_and_by_patron(audit: Audit) -> None:
    """A person may ask; a list of everybody names nobody."""
    audit.add(FULL_LOOK, OTHER_LOOK, LIST)

    for cards, patron_ref, numbers in (
        ([key_of(2)], None, [1]),
        ([], "p-3", [2]),
        ([key_of(1)], "p-3", [1, 2]),
        ([key_of(9)], "p-9", []),
        ([], None, []),
    ):
        assert [one.number for one in audit.reader.about(cards, patron_ref)] == numbers


def test_what_names_a_person_is_erased_and_the_chain_holds(audit: Audit) -> None:
    """Of the others nothing is; a second time there is nothing left to erase."""
    audit.add(LIST, FULL_LOOK, OTHER_LOOK)

    erased = audit.writer.erase_about([key_of(1)], "p-9", at())
    assert erased == (2,)
    assert audit.writer.erase_about([key_of(1)], "p-9", at()) == ()
    assert audit.verdict().broken == 2, "no entry says so yet"
    explain(audit.writer, erased)

    assert audit.numbers() == [1, 3, 4]
    verdict = audit.verdict()
    assert (verdict.broken, verdict.entries, verdict.erased, verdict.erased_singly) == (
        None, 4, 1, 1
    )  # fmt: skip


UNSET, VOUCHED = ClockState.UNTRUSTED, ClockState.TRUSTED


@pytest.mark.parametrize(
    ("noted", "days", "kept"),
    [
        ([(0, VOUCHED)], [184], [1, 2]),
        ([(0, VOUCHED)], [185], [2]),
        ([(0, VOUCHED)], [400], [2]),
        ([(2000, UNSET), (1, VOUCHED), (3000, UNSET)], [190], [3, 4]),
        ([(0, VOUCHED), (-400, UNSET), (1, VOUCHED)], [2], [1, 2, 3, 4]),
        ([(0, VOUCHED), (-400, VOUCHED), (1, VOUCHED), (2, VOUCHED)], [190, 191], [5, 6]),
    ],
    ids=[
        "before half a year",
        "after half a year",
        "after a year",
        "what an unset clock dated years ahead goes with what came after it",
        "a Pi that started in the year before last makes nothing old",
        "a battery clock that stood still for a year is believed, and goes with the others",
    ],
)
def test_a_record_is_erased_after_half_a_year(
    audit: Audit, noted: list[tuple[int, ClockState]], days: list[int], kept: list[int]
) -> None:
    """At the next write, whatever that is; the entry itself stays in the chain."""
    for number, (day, state) in enumerate(noted, start=1):
        audit.add(LIST, on=at(day, state))
        assert audit.numbers() == list(range(1, number + 1))

    for day in range(2, days[0], 2):
        with audit.writer.together(at(day)):
            pass
    for day in days:
        audit.add(LIST, on=at(day))

    assert audit.numbers() == kept
    verdict = audit.verdict()
    assert (verdict.broken, verdict.entries) == (None, len(noted) + len(days))
    assert verdict.erased_singly == 0


@pytest.fixture
def records(path: Path) -> Iterator[AlarmRecords]:
    """A reader of its alarms."""
    with closing(AlarmRecords(path)) as records:
        yield records


def told(kind: str, since: datetime = NOON, why: str = "") -> AlarmRecord:
    """Return an alarm, of noon unless another time is given."""
    return AlarmRecord(kind, Source.DOOR, since, since, 1, why)


LATER = NOON + timedelta(minutes=1)


def test_an_alarm_stands_until_its_end_and_again_is_another(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Since when, how often, its last words; who was first to see it stays on record."""
    alarms, later = StoredAlarms(writer), Moment(LATER, LATER, ClockState.TRUSTED)
    alarms.hear(told("door_held", why="a wire"), NOW)
    alarms.hear(told("door_held", LATER, "another wire"), NOW)
    (standing,) = records.standing()
    assert standing == AlarmRecord("door_held", Source.DOOR, NOON, LATER, 2, "another wire")
    assert standing.known is KINDS["door_held"]

    assert alarms.acknowledge("door_held", "grethe", later)
    assert not alarms.acknowledge("door_held", "per", NOW)
    (seen,) = records.standing()
    assert (seen.acknowledged_by, seen.acknowledged_at) == ("grethe", LATER)

    alarms.hear(told("door_held_cleared", LATER), NOW)
    alarms.hear(told("door_held"), NOW)
    (over,), (again,) = records.ended(9), records.standing()
    assert (over.cleared_at, over.acknowledged_by) == (LATER, "grethe")
    assert (again.count, again.acknowledged_by) == (1, None)


def test_what_has_no_end_is_over_when_it_is_acknowledged(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Nobody would ever tell its end; if it comes again, it is another one.

    What does not stand can't be acknowledged: the page may be old, and is told to look again.
    """
    alarms = StoredAlarms(writer)
    alarms.hear(told("stalled"), NOW)
    assert alarms.acknowledge("stalled", "grethe", NOW)

    assert records.standing() == ()
    (over,) = records.ended(9)
    assert (over.kind, over.acknowledged_by) == ("stalled", "grethe")
    with pytest.raises(InputError, match="look again"):
        alarms.acknowledge("stalled", "grethe", NOW)
    alarms.hear(told("stalled"), NOW)
    assert records.standing()[0].acknowledged_by is None


def test_what_is_over_comes_latest_first(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """And what stands comes longest first; so many of what is over as are wanted."""
    alarms = StoredAlarms(writer)
    for kind, since in (("door_held", LATER), ("inputs_failing", NOON)):
        alarms.hear(told(kind, since), NOW)
    assert [one.kind for one in records.standing()] == ["inputs_failing", "door_held"]

    for kind, since in (("door_held_cleared", NOON), ("inputs_failing_cleared", LATER)):
        alarms.hear(told(kind, since), NOW)
    assert [one.kind for one in records.ended(9)] == ["inputs_failing", "door_held"]
    assert [one.kind for one in records.ended(1)] == ["inputs_failing"]


def test_a_leaf_that_flaps_fills_no_disk(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """The oldest ends are forgotten; what stands is not."""
    alarms = StoredAlarms(writer)
    alarms.hear(told("stalled"), NOW)
    with writer.together(NOW):
        for _ in range(MOST_ENDED + 1):
            alarms.hear(told("door_held"), NOW)
            alarms.hear(told("door_held_cleared"), NOW)

    assert len(records.ended(2 * MOST_ENDED)) == LEFT_ENDED
    assert [one.kind for one in records.standing()] == ["stalled"]


def test_what_is_over_is_kept_for_a_month(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Counted from its end; what stands is kept for as long as it does."""
    alarms = StoredAlarms(writer)
    for kind in ("door_held", "inputs_failing", "door_held_cleared"):
        alarms.hear(told(kind), NOW)
    in_use_until(writer, at(KEPT_AFTER_END.days))
    for days, left in ((0, 1), (1, 0)):
        alarms.end((), at(KEPT_AFTER_END.days + days))
        assert len(records.ended(9)) == left

    assert [one.kind for one in records.standing()] == ["inputs_failing"]


def test_an_end_of_nothing_leaves_no_row(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Such as the one that a process tells that began anew."""
    StoredAlarms(writer).hear(told("door_held_cleared"), NOW)

    assert records.standing() == records.ended(9) == ()
