"""Bans, passes and hours: what their keeper does, and its files, power cuts, damage, bytes.

Bug (security review tried again on `branch.db`): a wrong clock that was believed for 6 hours
deleted every ban, pass, tombstone and audit record that was due by it, in one write.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import (
    Day,
    DaySource,
    Mode,
    ModeSpan,
    StoredCalendar,
    StoredDay,
    StoredWeek,
)
from doorctl.access.codes import guessable
from doorctl.access.patron import pin_check, row_key
from doorctl.core.errors import InputError, StoreDamagedError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey, Pin
from doorctl.core.moments import BootTime, Bounds, CarriedTime, ClockState, Moment
from doorctl.privacy.audit_chain import EMPTY
from doorctl.privacy.subject import Decision, Subject
from doorctl.privacy.tombstones import Tombstones
from doorctl.store.accounts import AccountRecords
from doorctl.store.alarms import AlarmRecords
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_rows import new_code
from doorctl.store.branch_writer import BranchRecordsWriter, open_or_create_branch
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.objections import decide, object_to
from doorctl.store.records import AuditRecords
from doorctl.store.sealer import ArgonSealer
from doorctl.store.tombstones import StoredErasures
from tests.store.samples import (
    BAN,
    CODE,
    DAY,
    LOCKDOWN,
    NOON,
    NOW,
    PASS,
    TODAY,
    WEEK,
    Branch,
    at,
    files_of,
    in_use_until,
    key_of,
    reading,
)

Reads = Callable[[Path], Any]
Ask = Callable[[Any], object]
ASK: dict[str, tuple[Reads, Ask, object]] = {
    "bans": (BranchRecords, lambda book: book.bans(key_of(1), "p-1"), ()),
    "pass": (BranchRecords, lambda book: book.passes_of(key_of(1)), ()),
    "calendar": (BranchRecords, BranchRecords.calendar, StoredCalendar()),
    "override": (BranchRecords, BranchRecords.override, None),
    "every ban": (BranchRecords, BranchRecords.every_ban, ()),
    "every pass": (BranchRecords, BranchRecords.every_pass, ()),
    "version": (BranchRecords, BranchRecords.version, 0),
    "accounts": (AccountRecords, AccountRecords.every, ()),
    "who is signed in": (AccountRecords, lambda records: records.whose(bytes(32)), None),
    "alarms": (AlarmRecords, AlarmRecords.standing, ()),
    "audit": (AuditRecords, AuditRecords.entries, ()),
    "the audit log's end": (AuditRecords, AuditRecords.head, EMPTY),
    "its links": (AuditRecords, lambda records: [*records.links()], []),
    "its last number": (AuditRecords, AuditRecords.last_number, 0),
    "erased": (StoredErasures, StoredErasures.tombstones, Tombstones()),
}
"""What is asked of a file, by which reader, and what a branch says that never had one."""


@pytest.mark.parametrize(("reads", "ask", "none"), ASK.values(), ids=ASK)
def test_a_fresh_branch_has_nobody(tmp_path: Path, reads: Reads, ask: Ask, none: object) -> None:
    """Nothing is made by asking; one whose file was lost is no fresh one, for any reader."""
    path = tmp_path / "branch.db"
    with closing(reads(path)) as book:
        assert ask(book) == none
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(StoreError, match="is missing"):
            BranchRecordsWriter(path)
        open_or_create_branch(path).close()
        ask(book)
        path.unlink()

        for reader in (book, reads(path)):
            with closing(reader), pytest.raises(StoreError, match="is missing; restore it from"):
                ask(reader)
    with pytest.raises(StoreError, match="is missing; restore it from its backup"):
        open_or_create_branch(path)
    assert not path.exists()


def test_the_file_is_found_when_it_appears(tmp_path: Path) -> None:
    """A door starts before there are any bans; the first is seen without a restart."""
    path = tmp_path / "branch.db"
    with closing(BranchRecords(path)) as book:
        assert book.bans(key_of(1), None) == ()
        with closing(open_or_create_branch(path)) as writer:
            ban = Branch(book, writer).ban()

        assert book.bans(key_of(1), None) == (ban,)
        assert book.version() > 0


@pytest.mark.parametrize(("reads", "ask", "_none"), ASK.values(), ids=ASK)
def test_what_can_not_be_read_bans_nobody_and_admits_nobody(
    tmp_path: Path, reads: Reads, ask: Ask, _none: object
) -> None:
    """No file of ours, an empty one, a link that leads nowhere: each is an error, never "none".

    So is a directory that can't be entered: whether there is a file is not known then.
    """
    garbage, empty, dangling = (tmp_path / name for name in ("garbage", "empty", "dangling"))
    garbage.write_bytes(b"no database " * 1000)
    empty.touch()
    dangling.symlink_to(tmp_path / "nowhere")
    of_an_empty_file = () if ask is BranchRecords.version else (empty,)

    for path in (garbage, dangling, garbage / "branch.db", *of_an_empty_file):
        with closing(reads(path)) as book, pytest.raises(StoreError):
            ask(book)


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("UPDATE bans SET branches = '[]'", "bans"),
        ("UPDATE bans SET branches = 'secret'", "bans"),
        ("UPDATE bans SET until_ms = since_ms", "bans"),
        ("UPDATE bans SET since_ms = 9223372036854775807", "bans"),
        ("UPDATE bans SET branches = '7'", "every ban"),
        ("UPDATE passes SET kind = 'secret'", "pass"),
        ("UPDATE passes SET last_day = 'secret'", "pass"),
        ("UPDATE passes SET weekdays = '9'", "pass"),
        ("UPDATE passes SET weekdays = 'secret'", "every pass"),
        ("UPDATE days SET spans = '[]'", "calendar"),
        ("UPDATE days SET spans = '[[[\"lockdown\", 0, 9]]]'", "calendar"),
        ("UPDATE days SET day = 'secret'", "calendar"),
        ("UPDATE day_sources SET source = 'secret' WHERE source = 'staff'", "calendar"),
        ("UPDATE week SET spans = '[]'", "calendar"),
        ("UPDATE week SET spans = 'secret'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[],[]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"lockdown\", 0, 9]]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"staffed\", 0.5, 9]]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"staffed\", 0, 2000]]]'", "calendar"),
        ("UPDATE overrides SET mode = 'secret'", "override"),
        ("UPDATE accounts SET role = 'secret'", "accounts"),
        ("UPDATE alarms SET source = 'secret'", "alarms"),
    ],
)
def test_a_row_that_nobody_wrote_is_damage_and_is_not_quoted(
    path: Path, branch: Branch, statement: str, asked: str
) -> None:
    """Half a ban is no ban, so whoever asks is told that the file is damaged."""
    branch.fill()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(statement).rowcount

    reads, ask, _ = ASK[asked]
    with closing(reads(path)) as book, pytest.raises(StoreDamagedError) as caught:
        ask(book)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


SPANS = st.builds(
    lambda mode, starts, lasts: ModeSpan(mode, starts, starts + lasts),
    st.sampled_from([Mode.SELF_SERVICE, Mode.STAFFED]),
    st.integers(0, 1439),
    st.integers(1, 1440),
)


@given(st.lists(st.lists(SPANS, max_size=3).map(tuple), min_size=7, max_size=7).map(tuple))
def test_whatever_week_is_set_is_read(days: tuple[Day, ...]) -> None:
    """To the minute and in its order, in a file; spans over midnight and closed days included."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "branch.db"
        with closing(open_or_create_branch(path)) as writer, closing(BranchRecords(path)) as book:
            writer.set_week(StoredWeek(days), NOW)

            assert book.calendar().week == StoredWeek(days)


def test_a_replaced_file_is_followed(path: Path, book: BranchRecords) -> None:
    """After a restore no decision uses the old file's rows."""
    other = path.with_name("other.db")
    with closing(open_or_create_branch(other)) as writer:
        ban = Branch(book, writer).ban(2)
    assert book.bans(key_of(2), None) == ()
    before = book.version()

    other.rename(path)

    assert book.version() != before
    assert book.bans(key_of(2), None) == (ban,)


def test_versions_are_told_on_another_thread(branch: Branch) -> None:
    """The loop asks for the version while the worker looks up."""
    versions = [branch.book.version()]
    branch.ban()
    asking = Thread(target=lambda: versions.append(branch.book.version()))
    asking.start()
    assert len(branch.book.bans(key_of(1), None)) == 1
    asking.join()

    assert versions[0] != versions[1]
    assert branch.book.version() == versions[1]


def _cut(path: Path, name: str) -> Path:
    """Copy the files as a power cut leaves them."""
    copy = path.parent / name / path.name
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def test_what_has_returned_survives_a_power_cut(path: Path, branch: Branch) -> None:
    """At each step a copy of the files, as a power cut leaves them, opens sound and complete."""
    for number in range(1, 20):
        ban = branch.ban(number, None)
        copy = _cut(path, f"cut-{number}")

        assert set_aside_if_damaged(copy, NOON) is None
        with closing(BranchRecords(copy)) as after:
            assert after.bans(key_of(number), None) == (ban,)


def test_what_other_branches_tell_of_wrong_pins_is_replaced(branch: Branch) -> None:
    """Who is not told of any more has none; nobody has none.

    They are told with each push: the same counts cost the card no write.
    """
    reports: list[dict[str, int]] = [{"p-1": 4, "p-2": 20}, {"p-1": 5}, {"p-1": 5}, {}]
    before: dict[str, int] = {}
    for told in reports:
        version = branch.book.version()
        branch.writer.keep_wrong_pins(told, NOW)
        assert (branch.book.version() == version) is (told == before)
        found = {ref: branch.book.wrong_pins_elsewhere(ref) for ref in ("p-1", "p-2", None)}
        assert found == {ref: told.get(ref or "", 0) for ref in found}
        before = told


def test_who_is_not_told_of_any_more_is_in_no_byte_of_the_file(path: Path, branch: Branch) -> None:
    """Nor is anybody 30 days after it was told last, though no sender comes any more."""
    branch.writer.keep_wrong_pins({"patron-one": 4, "patron-two": 4}, NOW)
    branch.writer.keep_wrong_pins({"patron-two": 4}, NOW)
    raw = b"".join(files_of(path.parent).values())
    assert (b"patron-one" in raw, b"patron-two" in raw) == (False, True)

    for days, wrong in ((29, 4), (32, 0)):
        in_use_until(branch.writer, at(days))
        branch.touch(days)
        assert branch.book.wrong_pins_elsewhere("patron-two") == wrong


WRITE: dict[str, Callable[[BranchRecordsWriter], object]] = {
    "ban": lambda writer: writer.ban(BAN, NOW, row_key=key_of(2), patron_ref=None),
    "lift": lambda writer: writer.lift(1, NOW),
    "change ban": lambda writer: writer.change_ban(replace(BAN, number=1), NOW),
    "change pass": lambda writer: writer.change_pass(replace(PASS, number=1), NOW),
    "issue": lambda writer: writer.issue(PASS, NOW, row_key=key_of(2)),
    "revoke": lambda writer: writer.revoke(1, NOW),
    "days": lambda writer: writer.set_days(DaySource.STAFF, [], NOW, known_until=None),
    "week": lambda writer: writer.set_week(WEEK, NOW),
    "override": lambda writer: writer.set_override(LOCKDOWN, NOW),
    "end": lambda writer: writer.end_override(NOW),
    "wrong": lambda writer: writer.keep_wrong_pins({"p-1": 4}, NOW),
}


@pytest.mark.parametrize("write", WRITE.values(), ids=WRITE)
def test_a_write_that_fails_leaves_nothing_half_done(
    path: Path, branch: Branch, write: Callable[[BranchRecordsWriter], object]
) -> None:
    """When its last step fails, every table is as it was, and the next write works.

    That gives another version, so that the door looks again; a look gives none.
    """
    branch.fill()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # Deleting what is old is the last step, and this makes it fail.
        other.execute("UPDATE days SET day = '2000-01-01' WHERE source = 'config'")
        other.execute(
            "CREATE TRIGGER fails BEFORE DELETE ON days WHEN old.source = 'config' "
            "BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        )
        before = list(other.iterdump())

        with pytest.raises(StoreError):
            write(branch.writer)

        assert list(other.iterdump()) == before
        other.execute("DROP TRIGGER fails")
    branch.book.bans(key_of(1), None)
    version = branch.book.version()
    assert branch.book.version() == version
    write(branch.writer)
    assert branch.book.version() != version


Act = Callable[[Branch], object]


def _of_key(key: bytes) -> tuple[Act, Act]:
    return (
        lambda branch: branch.writer.ban(BAN, NOW, row_key=key, patron_ref=None),
        lambda branch: branch.writer.issue(PASS, NOW, row_key=key),
    )


def _mode(**changes: Any) -> Act:
    return lambda branch: branch.writer.set_override(replace(LOCKDOWN, **changes), NOW)


NO_KEY = "breaks the table's rules"
"""No card would ever be found under a key of another length."""
NONSENSE: dict[str, tuple[str, Act]] = {
    "a ban without a person": ("the ban names no person", lambda branch: branch.ban(None, None)),
    "a ban of no number": ("the ban names no person", lambda branch: branch.ban(None, "")),
    "a ban of an empty key": ("the ban names no person", _of_key(b"")[0]),
    "a ban of a short key": (NO_KEY, _of_key(b"short")[0]),
    "a ban of a long key": (NO_KEY, _of_key(bytes(17))[0]),
    "a ban that is over": ("over already", lambda branch: branch.ban(until=NOON)),
    # One that is nothing to the millisecond would read as damage.
    "a ban too short to be stored": (
        "ends before it begins",
        lambda branch: branch.ban(since=NOON + DAY, until=NOON + DAY + timedelta.resolution),
    ),
    "a pass of an empty key": (NO_KEY, _of_key(b"")[1]),
    "a pass of a short key": (NO_KEY, _of_key(b"short")[1]),
    "a pass of a long key": (NO_KEY, _of_key(bytes(17))[1]),
    "a pass that is over": (
        "over since 2026-05-03; give a later last day",
        lambda branch: branch.issue(replace(PASS, first_day=TODAY - DAY, last_day=TODAY - DAY)),
    ),
    "no pass": ("no pass 7 that could be revoked", lambda branch: branch.writer.revoke(7, NOW)),
    "a day that is past": ("2026-05-03 is past", lambda branch: branch.says(DaySource.STAFF, -1)),
    "a day that is named twice": (
        "2026-05-05 is named twice",
        lambda branch: branch.says(DaySource.STAFF, 1, 2, 1),
    ),
    "a mode that is over": ("would end before now", _mode(until=NOON)),
    "a mode of a month": ("more than 31 days", _mode(until=NOON + timedelta(days=31, seconds=1))),
    "a mode for no reason": ("the reason is empty", _mode(cause="")),
    "a mode with a number": ("CPR or card number", _mode(cause="0101701234 fights")),
    "a mode of nobody": ("the account is empty", _mode(by="")),
}


@pytest.mark.parametrize(("sentence", "act"), NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_refused(branch: Branch, sentence: str, act: Act) -> None:
    """Each has a sentence, and all that was stored before still stands."""
    branch.fill()
    before = list(branch.writer.database.iterdump())

    with pytest.raises((InputError, StoreError), match=sentence):
        act(branch)

    assert list(branch.writer.database.iterdump()) == before


MARKS = (b"smoked; ", b"Dear patron", b"Skakklubben", key_of(1), key_of(2))


def _left(path: Path) -> list[bytes]:
    everything = b"".join(files_of(path.parent).values())
    return [mark for mark in MARKS if mark in everything]


@pytest.fixture
def marked(branch: Branch) -> Branch:
    """A branch with a ban and a pass that end tomorrow, and the marks by which they are found."""
    branch.ban(1, None)
    branch.issue(number=2)
    return branch


def test_no_byte_is_left_of_what_ended_long_ago(path: Path, marked: Branch) -> None:
    """After the next write neither the file nor its -wal holds the reason, the letter or a key."""
    assert _left(path) == list(MARKS)

    in_use_until(marked.writer, at(32))
    marked.touch(32)

    assert _left(path) == []


def unset(days: float) -> Moment:
    """Return a moment of a clock that nobody has believed for so many days since the noon."""
    then = NOON.astimezone(UTC) + timedelta(days=days)
    carried = CarriedTime(NOON.astimezone(UTC), then, BootTime("boot-2", 0))
    bounds = Bounds(then + timedelta(days=400), vouched=True, carried=carried)
    return replace(at(0, ClockState.UNTRUSTED), stepped=True, bounds=bounds)


def test_what_ended_goes_also_while_nobody_believes_the_clock(path: Path, marked: Branch) -> None:
    """By the earlier of both clocks: not too soon, and not never.

    What staff end meanwhile counts from the time that has certainly come.

    Bug (second penetration test, S2): while the clock was not set, or in doubt and nobody pressed
    the button, nothing that had ended was ever deleted.
    """
    for day in range(31):
        marked.touch(moment=unset(day))
        assert _left(path) == list(MARKS)
    endless = replace(BAN, until=None, reason="shouted", note="")
    held = marked.writer.ban(endless, unset(30), row_key=key_of(5), patron_ref="p-5")
    marked.writer.lift(held.number, unset(31))
    for day in range(31, 33):
        marked.touch(moment=unset(day))

    assert _left(path) == []
    (ended,) = marked.book.every_ban()
    assert ended.ended_at == NOON.astimezone(UTC) + timedelta(days=31)


@pytest.mark.parametrize(
    ("decision", "days", "kept"),
    [
        (Decision.REJECTED, 30, True),
        (Decision.REJECTED, 31, False),
        (Decision.UPHELD, 400, True),
        (Decision.PENDING, 400, True),
    ],
)
def test_an_objection_goes_a_month_after_it_was_rejected(
    path: Path, branch: Branch, decision: Decision, days: int, *, kept: bool
) -> None:
    """And no later, with its bytes. One that was upheld stays, and so does one that waits."""
    who = Subject(frozenset({key_of(1)}), "p-1")
    object_to(branch.writer, who, "sag 2026-17", "eva", NOW)
    if decision is not Decision.PENDING:
        decide(branch.writer, who, decision, "threats to staff", NOW)

    in_use_until(branch.writer, at(days))
    branch.touch(days)

    listed = branch.writer.database.execute("SELECT reference FROM objections").fetchall()
    assert bool(listed) is kept
    assert (b"sag 2026-17" in b"".join(files_of(path.parent).values())) is kept


def test_an_evening_of_a_vouched_clock_that_is_years_ahead_deletes_nothing(
    path: Path, marked: Branch
) -> None:
    """However often it is written meanwhile; and the right time is believed at once afterwards.

    After six hours it is believed, but a day's rows go in an hour then, and no more.
    """
    marked.touch(*(1500 + quarters / 96 for quarters in range(4 * 18)), 1)
    assert _left(path) == list(MARKS)

    marked.touch(*range(2, 33))

    assert _left(path) == []


def test_a_time_that_leapt_is_believed_once_it_was_seen_for_hours(
    path: Path, marked: Branch
) -> None:
    """A machine that was off for months forgets a day's rows an hour then, restarted or not.

    Another time that is years later still is not taken for the same one.
    """
    marked.touch(100, 1500)
    assert _left(path) != []
    marked.writer.close()

    with closing(BranchRecordsWriter(path)) as writer:
        again = Branch(marked.book, writer)
        again.touch(100, 100.2)
        for hours in range(6, 6 + 32):
            assert _left(path) != []
            again.touch(100 + hours / 24)
        assert _left(path) == []


def test_bytes_that_a_reader_kept_go_with_the_next_write_or_start(
    path: Path, marked: Branch
) -> None:
    """A reader in the way fails no write; what is left goes later, after a power cut too."""
    with reading(path, "bans"):
        in_use_until(marked.writer, at(32))
        marked.touch(32)
        cut = _cut(path, "cut")
    assert key_of(1) in _left(path)
    assert key_of(1) in _left(cut)

    marked.touch(0)
    assert _left(path) == []
    with closing(BranchRecordsWriter(cut)):
        assert _left(cut) == []


def test_no_number_code_or_pin_is_in_any_file(path: Path, writer: BranchRecordsWriter) -> None:
    """What lies on the card holds no card number, issued code or PIN, in text or bytes."""
    sealer = ArgonSealer(InstallationKey(bytes(range(32))), memory_kib=8, iterations=1)
    pin = Pin("471193")
    code = new_code()
    digits = code.reveal().removeprefix("code:")
    card, issued = (
        sealer.stretch(one) for one in (Identifier(IdentifierKind.CARD, "3000001234"), code)
    )
    writer.ban(BAN, NOW, row_key=row_key(card), patron_ref="p-1")
    writer.issue(replace(PASS, pin_check=pin_check(card, pin)), NOW, row_key=row_key(card))
    writer.issue(CODE, NOW, row_key=row_key(issued))

    everything = b"".join(files_of(path.parent).values())
    assert b"Skakklubben" in everything
    for secret in ("3000001234", digits, pin.reveal()):
        assert secret.encode() not in everything


def test_codes_are_drawn_and_not_guessable() -> None:
    """Each is of the wanted length, in digits, masked, and hardly ever drawn twice."""
    codes = [new_code(digits) for digits in (6, 7, 8, 9) for _ in range(50)]
    drawn = [code.reveal().removeprefix("code:") for code in codes]

    assert [len(one) for one in drawn] == [6] * 50 + [7] * 50 + [8] * 50 + [9] * 50
    assert all(one.isdecimal() and not guessable(one) for one in drawn)
    assert len(set(drawn)) > 190
    assert str(codes[0]) == "Identifier(code ***)"


def test_days_far_ahead_and_long_ago_are_stored_as_said(branch: Branch) -> None:
    """The calendar's last day is a day like any other; times are kept to the millisecond."""
    last = StoredDay(date.max, (), "")
    branch.writer.set_days(DaySource.STAFF, [last], NOW, known_until=date.max)
    ban = branch.ban(until=NOON + timedelta(milliseconds=1))

    assert branch.book.calendar().sources[DaySource.STAFF].days == (last,)
    (found,) = branch.book.bans(key_of(1), None)
    assert found == ban
    assert found.until == NOON.astimezone(UTC) + timedelta(milliseconds=1)
