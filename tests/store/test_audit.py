"""What only the audit log in branch.db has: triggers, tampering, crashes, bytes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import EMPTY, Action, Deed, Head, Verdict, erased_numbers, verify
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.records import AuditRecords, AuditTrail
from tests.store.samples import DAY, NOON, files_of, key_of
from tests.store.test_branch import BAN

NOW = Moment(NOON, NOON, ClockState.TRUSTED)
LOOK = Deed(Action.PATRON_EXPLAINED, (key_of(1),), "a-marked-ref", "a marked reason")
LIST = Deed(Action.VISITS_LISTED, details={"visits": 12})


def later(days: int) -> Moment:
    """Return a trusted moment so many days after."""
    return Moment(NOON + days * DAY, NOON, ClockState.TRUSTED)


def explain(trail: AuditTrail, erased: tuple[int, ...], moment: Moment = NOW) -> Head:
    """Say on the log which entries were erased, as an erasure does."""
    deed = Deed(Action.SUBJECT_ERASED, details=erased_numbers(erased))
    return trail.append(deed, "grethe", moment)


@pytest.fixture
def trail(writer: BranchRecordsWriter) -> AuditTrail:
    """The audit log's writing side."""
    return AuditTrail(writer)


def verdict_on(path: Path, *anchors: Head) -> Verdict:
    """Check the chain in a file."""
    with closing(AuditRecords(path)) as records:
        return verify(records.links(), records.last_number(), anchors)


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
def test_the_table_only_grows_and_is_only_erased(
    path: Path, trail: AuditTrail, statement: str
) -> None:
    """A slip of ours is refused by the file itself, and nothing is changed."""
    for deed in (LOOK, Deed(Action.PATRON_EXPLAINED, (key_of(2),)), LIST):
        trail.append(deed, "grethe", NOW)
    trail.erase_about([key_of(2)], None, NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        before = list(other.iterdump())
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(statement)

        assert list(other.iterdump()) == before


def test_a_record_can_be_erased_with_its_salt(path: Path, trail: AuditTrail) -> None:
    """That is the one thing which the triggers let through."""
    trail.append(LOOK, "grethe", NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE audit SET record = NULL, salt = NULL WHERE number = 1")

    assert verdict_on(path).broken is None


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
def test_tampering_with_the_file_is_found(
    path: Path, writer: BranchRecordsWriter, tamper: str
) -> None:
    """Though the triggers are gone: the number is named, be it in the middle or the last."""
    for _ in range(3):
        AuditTrail(writer).append(LOOK, "grethe", NOW)
    writer.close()
    for number in (2, 3):
        copy = path.with_name(f"copy-{number}.db")
        shutil.copy(path, copy)
        without_triggers(copy, "DROP INDEX audit_by_time", tamper.format(number))

        assert verdict_on(copy).broken == number
    assert verdict_on(path).broken is None


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
                    anchors.append(AuditTrail(writer).append(deed, "grethe", later(day)))
                case "erase":
                    trail = AuditTrail(writer)
                    erased = trail.erase_about([key_of(number)], None, later(day))
                    anchors.append(explain(trail, erased, later(day)))
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
            deed = Deed(Action.PATRON_EXPLAINED, (key_of(number % 3),))
            head = AuditTrail(writer).append(deed, "grethe", later(number))
            sys.stdout.write(f"{head}\n")
            sys.stdout.flush()


@pytest.mark.parametrize("told", [1, 7, 40, 200])
def test_a_killed_writer_leaves_a_sound_chain_with_all_that_it_told(path: Path, told: int) -> None:
    """SIGKILL at any point, in the middle of an erasure too: every head that was told is in it."""
    child = "import sys, tests.store.test_audit as t; t.look_for_ever(sys.argv[1])"
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


def test_a_write_that_is_cut_off_at_any_byte_leaves_a_sound_chain(
    path: Path, writer: BranchRecordsWriter, trail: AuditTrail
) -> None:
    """Of the file's -wal any beginning may be all that reached the card."""
    # As where a reader keeps the file itself from being written.
    writer.database.execute("PRAGMA wal_autocheckpoint=0")
    heads = [EMPTY, *(trail.append(LOOK, "grethe", NOW) for _ in range(3))]
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


def test_a_change_and_its_entry_are_durable_together_or_not_at_all(
    path: Path, writer: BranchRecordsWriter, trail: AuditTrail
) -> None:
    """Where the log takes no entry, the ban that it would tell of is not kept either."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON audit "
            "BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        )

        def ban() -> None:
            with trail.together(NOW):
                writer.ban(BAN, NOW, row_key=key_of(1), patron_ref=None)
                trail.append(LOOK, "grethe", NOW)

        with pytest.raises(StoreError):
            ban()
        with closing(BranchRecords(path)) as book:
            assert book.every_ban() == ()
        other.execute("DROP TRIGGER fails")
        ban()

    with closing(BranchRecords(path)) as book, closing(AuditRecords(path)) as records:
        assert len(book.every_ban()) == len(records.entries()) == 1


MARKS = (b"a marked reason", b"a-marked-ref", key_of(1).hex().encode(), key_of(1))


def _left(path: Path) -> list[bytes]:
    everything = b"".join(files_of(path.parent).values())
    return [mark for mark in MARKS[:3] if mark in everything]


@pytest.mark.parametrize(
    "erase",
    [
        lambda trail: [trail.append(LIST, "grethe", later(day)) for day in range(1, 186, 2)],
        lambda trail: explain(trail, trail.erase_about([key_of(1)], None, NOW)),
        lambda trail: explain(trail, trail.erase_about([], "a-marked-ref", NOW)),
    ],
    ids=["age", "card", "patron"],
)
def test_no_byte_is_left_of_an_erased_record(
    path: Path, trail: AuditTrail, erase: Callable[[AuditTrail], object]
) -> None:
    """Neither in the file nor in its -wal, nor the index."""
    for number in range(50):
        trail.append(LOOK, "grethe", NOW)
        trail.append(Deed(Action.PATRON_EXPLAINED, (key_of(2 + number),)), "grethe", NOW)
    assert _left(path) == list(MARKS[:3])

    erase(trail)

    assert _left(path) == []
    assert verdict_on(path).broken is None


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE audit SET record = '{"secret": 1}'""",
        """UPDATE audit SET record = '["secret"]'""",
        "UPDATE audit SET record = replace(record, 'patron_explained', 'secret')",
    ],
)
def test_a_record_that_nobody_wrote_is_damage_and_is_not_quoted(
    path: Path, writer: BranchRecordsWriter, statement: str
) -> None:
    """Whoever lists is told to verify, which names the entry."""
    AuditTrail(writer).append(LOOK, "grethe", NOW)
    without_triggers(path, statement)

    with (
        closing(AuditRecords(path)) as records,
        pytest.raises(StoreDamagedError, match="doorctl audit verify") as caught,
    ):
        records.entries()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert verdict_on(path).broken == 1


def test_a_branch_without_a_file_has_an_empty_log(tmp_path: Path) -> None:
    """Nothing is made by asking; one that was there and is gone is an error."""
    path = tmp_path / "branch.db"
    assert verdict_on(path) == Verdict(0, 0, 0, EMPTY)
    with closing(AuditRecords(path)) as records:
        assert (records.entries(), records.head()) == ((), EMPTY)
    assert list(tmp_path.iterdir()) == []

    create_branch(path)
    path.unlink()
    with closing(AuditRecords(path)) as records:
        for ask in (records.entries, records.head, records.last_number):
            with pytest.raises(StoreError, match="restore it from its backup"):
                ask()


def test_a_lower_number_takes_the_place_of_the_last_push(path: Path, trail: AuditTrail) -> None:
    """Else a number that none can follow would stay the floor for whoever loses the register."""
    for action, epoch in (
        (Action.PUSH_APPLIED, 2**63 - 1),
        (Action.PATRONS_RENUMBERED, 41),
        (Action.PUSH_APPLIED, 42),
    ):
        trail.append(Deed(action, details={"epoch": epoch}), "grethe", NOW)
        with closing(AuditRecords(path)) as records:
            assert records.last_push() == epoch
