"""What only the SQLite file of bans, passes and hours has: files, power cuts, damage, bytes.

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
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Day, DaySource, Mode, ModeSpan, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.patron import pin_check, row_key
from doorctl.access.rights import Ban, Pass, PassKind, guessable
from doorctl.core.errors import (
    InputError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey, Pin
from doorctl.core.moments import ClockState, Moment
from doorctl.store.branch import BranchRecords, new_code
from doorctl.store.branch_writer import (
    BranchRecordsWriter,
    open_or_create_branch,
)
from doorctl.store.keys import ArgonSealer
from doorctl.store.residue import set_aside_if_damaged
from tests.store.samples import DAY, NOON, files_of, in_use_until, key_of

LOCAL = NOON.astimezone(ZoneInfo("Europe/Copenhagen"))
NOW = Moment(LOCAL, NOON, ClockState.TRUSTED)
HOUR = timedelta(hours=1)
BAN = Ban(0, "a marked reason", NOON, NOON + DAY, "staff-7", frozenset({"oest"}), "a marked letter")
PASS = Pass(0, PassKind.CLASS, LOCAL.date(), LOCAL.date() + DAY, label="a marked label")

WEEK = StoredWeek(((ModeSpan(Mode.STAFFED, 600, 1080),), *((),) * 6))


def _ban(writer: BranchRecordsWriter, number: int = 1, ban: Ban = BAN) -> Ban:
    return writer.ban(ban, NOW, row_key=key_of(number), patron_ref=None)


def _later(days: float) -> Moment:
    return Moment(LOCAL + days * DAY, NOON + days * DAY, ClockState.TRUSTED)


def _touch(writer: BranchRecordsWriter, moment: Moment) -> None:
    writer.set_days(DaySource.HOLIDAY, (), moment, known_until=None)


ASK: dict[str, Callable[[BranchRecords], object]] = {
    "bans": lambda book: book.bans(key_of(1), "p-1"),
    "pass": lambda book: book.passes_of(key_of(1)),
    "calendar": lambda book: book.calendar(),
    "override": lambda book: book.override(),
    "every ban": lambda book: book.every_ban(),
    "every pass": lambda book: book.every_pass(),
    "version": lambda book: book.version(),
}


def test_a_fresh_branch_has_nobody_and_its_file_is_found_when_it_appears(tmp_path: Path) -> None:
    """A door starts before there are any bans; the first is seen without a restart."""
    path = tmp_path / "branch.db"
    with closing(BranchRecords(path)) as book:
        assert [ask(book) for ask in ASK.values()] == [
            (),
            (),
            book.calendar(),
            None,
            (),
            (),
            0,
        ]
        with pytest.raises(StoreError, match="is missing"):
            BranchRecordsWriter(path)
        assert list(tmp_path.iterdir()) == []

        with closing(open_or_create_branch(path)) as writer:
            ban = _ban(writer)

        assert book.bans(key_of(1), None) == (ban,)
        assert book.version() > 0


@pytest.mark.parametrize("ask", ASK)
def test_a_file_that_was_there_and_is_gone_is_no_fresh_branch(
    path: Path, book: BranchRecords, ask: str
) -> None:
    """Without it every ban would be forgotten, so it is asked for, by a new reader too."""
    ASK[ask](book)
    path.unlink()

    for reader in (book, BranchRecords(path)):
        with closing(reader), pytest.raises(StoreError, match="is missing; restore it from its b"):
            ASK[ask](reader)
    with pytest.raises(StoreError, match="is missing; restore it from its backup"):
        open_or_create_branch(path)
    assert not path.exists()


@pytest.mark.parametrize("ask", ASK)
def test_what_can_not_be_read_bans_nobody_and_admits_nobody(tmp_path: Path, ask: str) -> None:
    """No file of ours, an empty one, a link that leads nowhere: each is an error, never "none"."""
    garbage, empty, dangling = (tmp_path / name for name in ("garbage", "empty", "dangling"))
    garbage.write_bytes(b"no database " * 1000)
    empty.touch()
    dangling.symlink_to(tmp_path / "nowhere")

    for path in (garbage, dangling) if ask == "version" else (garbage, empty, dangling):
        with closing(BranchRecords(path)) as book, pytest.raises(StoreError):
            ASK[ask](book)


def test_a_directory_that_can_not_be_entered_is_no_fresh_branch(tmp_path: Path) -> None:
    """Whether there is a file is not known then, so it is an error."""
    blocker = tmp_path / "file"
    blocker.touch()

    with closing(BranchRecords(blocker / "branch.db")) as book, pytest.raises(StoreError):
        book.bans(key_of(1), None)


@pytest.mark.parametrize(
    ("statement", "ask"),
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
        ("UPDATE day_sources SET source = 'secret'", "calendar"),
        ("UPDATE week SET spans = '[]'", "calendar"),
        ("UPDATE week SET spans = 'secret'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[],[]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"lockdown\", 0, 9]]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"staffed\", 0.5, 9]]]'", "calendar"),
        ("UPDATE week SET spans = '[[],[],[],[],[],[],[[\"staffed\", 0, 2000]]]'", "calendar"),
        ("UPDATE week SET twice = spans", "calendar"),
        ("UPDATE overrides SET mode = 'secret'", "override"),
    ],
)
def test_a_row_that_nobody_wrote_is_damage_and_is_not_quoted(
    path: Path, book: BranchRecords, writer: BranchRecordsWriter, statement: str, ask: str
) -> None:
    """Half a ban is no ban, so whoever asks is told that the file is damaged."""
    _ban(writer)
    writer.issue(PASS, NOW, row_key=key_of(1))
    writer.set_override(Override(Mode.CLOSED, NOON + DAY, "cause", "staff-7"), NOW)
    writer.set_days(DaySource.STAFF, [StoredDay(LOCAL.date(), ())], NOW, known_until=None)
    writer.set_week(WEEK, NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(statement).rowcount == 1

    with pytest.raises(StoreDamagedError) as caught:
        ASK[ask](book)

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
        ban = _ban(writer, 2)
    assert book.bans(key_of(2), None) == ()
    before = book.version()

    other.rename(path)

    assert book.version() != before
    assert book.bans(key_of(2), None) == (ban,)


def test_versions_are_told_on_another_thread(
    book: BranchRecords, writer: BranchRecordsWriter
) -> None:
    """The loop asks for the version while the worker looks up."""
    versions = [book.version()]
    _ban(writer)
    asking = Thread(target=lambda: versions.append(book.version()))
    asking.start()
    assert len(book.bans(key_of(1), None)) == 1
    asking.join()

    assert versions[0] != versions[1]
    assert book.version() == versions[1]


def test_what_has_returned_survives_a_power_cut(path: Path, writer: BranchRecordsWriter) -> None:
    """At each step a copy of the files, as a power cut leaves them, opens sound and complete."""
    for number in range(1, 20):
        ban = _ban(writer, number)
        copy = path.parent / f"cut-{number}" / "branch.db"
        copy.parent.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")

        assert set_aside_if_damaged(copy, NOON) is None
        with closing(BranchRecords(copy)) as after:
            assert after.bans(key_of(number), None) == (ban,)


def test_the_same_wrong_pins_elsewhere_cost_the_card_nothing(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """They are told with each push: only another count, or another day, is written."""
    writer.keep_wrong_pins({"p-1": 4}, NOW)
    with closing(BranchRecords(path)) as book:
        before = book.version()
        writer.keep_wrong_pins({"p-1": 4}, NOW)
        assert book.version() == before
        writer.keep_wrong_pins({"p-1": 5}, NOW)
        assert book.version() != before


def test_who_is_not_told_of_any_more_is_in_no_byte_of_the_file(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """Nor is anybody 30 days after it was told last, though no sender comes any more."""
    writer.keep_wrong_pins({"patron-one": 4, "patron-two": 4}, NOW)
    writer.keep_wrong_pins({"patron-two": 4}, NOW)
    raw = b"".join(file.read_bytes() for file in path.parent.glob("branch.db*"))
    assert (b"patron-one" in raw, b"patron-two" in raw) == (False, True)

    in_use_until(writer, _later(29))
    _touch(writer, _later(29))
    with closing(BranchRecords(path)) as book:
        assert book.wrong_pins_elsewhere("patron-two") == 4
        in_use_until(writer, _later(32))
        _touch(writer, _later(32))
        assert book.wrong_pins_elsewhere("patron-two") == 0


WRITE: dict[str, Callable[[BranchRecordsWriter], object]] = {
    "ban": _ban,
    "lift": lambda writer: writer.lift(1, NOW),
    "change ban": lambda writer: writer.change_ban(replace(BAN, number=1), NOW),
    "change pass": lambda writer: writer.change_pass(replace(PASS, number=1), NOW),
    "issue": lambda writer: writer.issue(PASS, NOW, row_key=key_of(2)),
    "revoke": lambda writer: writer.revoke(1, NOW),
    "days": lambda writer: writer.set_days(DaySource.STAFF, [], NOW, known_until=None),
    "week": lambda writer: writer.set_week(WEEK, NOW),
    "override": lambda writer: writer.set_override(
        Override(Mode.LOCKDOWN, NOON + DAY, "cause", "staff-7"), NOW
    ),
    "end": lambda writer: writer.end_override(NOW),
    "wrong": lambda writer: writer.keep_wrong_pins({"p-1": 4}, NOW),
}


@pytest.mark.parametrize("write", WRITE)
def test_a_write_that_fails_leaves_nothing_half_done(
    path: Path, book: BranchRecords, writer: BranchRecordsWriter, write: str
) -> None:
    """When its last step fails, every table is as it was, and the next write works.

    That gives another version, so that the door looks again; a look gives none.
    """
    _ban(writer)
    writer.issue(PASS, NOW, row_key=key_of(1))
    writer.set_override(Override(Mode.CLOSED, NOON + DAY, "cause", "staff-7"), NOW)
    writer.set_days(DaySource.STAFF, [StoredDay(LOCAL.date(), ())], NOW, known_until=None)
    writer.set_days(DaySource.CONFIG, [StoredDay(LOCAL.date(), ())], NOW, known_until=None)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # Deleting what is old is the last step, and this makes it fail.
        other.execute("UPDATE days SET day = '2000-01-01' WHERE source = 'config'")
        other.execute(
            "CREATE TRIGGER fails BEFORE DELETE ON days WHEN old.source = 'config' "
            "BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        )
        before = list(other.iterdump())

        with pytest.raises(StoreError):
            WRITE[write](writer)

        assert list(other.iterdump()) == before
        other.execute("DROP TRIGGER fails")
    book.bans(key_of(1), None)
    version = book.version()
    assert book.version() == version
    WRITE[write](writer)
    assert book.version() != version


@pytest.mark.parametrize("key", [b"", b"short", bytes(17)])
def test_a_key_of_another_length_is_refused(
    book: BranchRecords, writer: BranchRecordsWriter, key: bytes
) -> None:
    """No card would ever be found under it."""
    with pytest.raises((StoreError, InputError)):
        writer.ban(BAN, NOW, row_key=key, patron_ref=None)
    with pytest.raises(StoreError, match="breaks the table's rules"):
        writer.issue(PASS, NOW, row_key=key)

    assert (book.every_ban(), book.every_pass()) == ((), ())


MARKS = (b"a marked reason", b"a marked letter", b"a marked label", key_of(1), key_of(2))


def _left(path: Path) -> list[bytes]:
    everything = b"".join(files_of(path.parent).values())
    return [mark for mark in MARKS if mark in everything]


def test_no_byte_is_left_of_what_ended_long_ago(path: Path, writer: BranchRecordsWriter) -> None:
    """After the next write neither the file nor its -wal holds the reason, the letter or a key."""
    _ban(writer)
    writer.issue(PASS, NOW, row_key=key_of(2))
    assert _left(path) == list(MARKS)

    in_use_until(writer, _later(32))
    _touch(writer, _later(32))

    assert _left(path) == []


def test_an_evening_of_a_vouched_clock_that_is_years_ahead_deletes_nothing(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """However often it is written meanwhile; and the right time is believed at once afterwards.

    After six hours it is believed, but a day's rows go in an hour then, and no more.
    """
    _ban(writer)
    writer.issue(PASS, NOW, row_key=key_of(2))
    for quarters in range(4 * 18):
        _touch(writer, _later(1500 + quarters / 96))
    _touch(writer, _later(1))
    assert _left(path) == list(MARKS)

    for days in range(2, 33):
        _touch(writer, _later(days))

    assert _left(path) == []


def test_a_time_that_leapt_is_believed_once_it_was_seen_for_hours(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """A machine that was off for months forgets a day's rows an hour then, restarted or not.

    Another time that is years later still is not taken for the same one.
    """
    _ban(writer)
    _touch(writer, _later(100))
    _touch(writer, _later(1500))
    assert _left(path) != []
    writer.close()

    with closing(BranchRecordsWriter(path)) as again:
        _touch(again, _later(100))
        _touch(again, _later(100.2))
        for hours in range(6, 6 + 32):
            assert _left(path) != []
            _touch(again, _later(100 + hours / 24))
        assert _left(path) == []


def test_bytes_that_a_reader_kept_go_with_the_next_write_or_start(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """A reader in the way fails no write; what is left goes later, after a power cut too."""
    cut = path.parent / "cut" / "branch.db"
    cut.parent.mkdir()
    _ban(writer)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM bans").fetchone()
        in_use_until(writer, _later(32))
        _touch(writer, _later(32))
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{cut}{suffix}")
    assert key_of(1) in _left(path)
    assert key_of(1) in _left(cut)

    _touch(writer, NOW)
    assert _left(path) == []
    with closing(BranchRecordsWriter(cut)):
        assert _left(cut) == []


def test_no_number_code_or_pin_is_in_any_file(path: Path) -> None:
    """What lies on the card holds no card number, issued code or PIN, in text or bytes."""
    sealer = ArgonSealer(InstallationKey(bytes(range(32))), memory_kib=8, iterations=1)
    pin = Pin("471193")
    code = new_code()
    digits = code.reveal().removeprefix("code:")
    card, issued = (
        sealer.stretch(one) for one in (Identifier(IdentifierKind.CARD, "3000001234"), code)
    )
    with closing(BranchRecordsWriter(path)) as writer:
        writer.ban(BAN, NOW, row_key=row_key(card), patron_ref="p-1")
        check = pin_check(card, pin)
        writer.issue(replace(PASS, pin_check=check), NOW, row_key=row_key(card))
        by_code = replace(PASS, code_digits=6, needs_pin=False)
        writer.issue(by_code, NOW, row_key=row_key(issued))
        everything = b"".join(files_of(path.parent).values())

    assert b"a marked label" in everything
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


def test_days_far_ahead_and_long_ago_are_stored_as_said(
    book: BranchRecords, writer: BranchRecordsWriter
) -> None:
    """The calendar's last day is a day like any other; times are kept to the millisecond."""
    last = StoredDay(date.max, (), "")
    writer.set_days(DaySource.STAFF, [last], NOW, known_until=date.max)
    ban = _ban(writer, ban=replace(BAN, until=NOON + timedelta(milliseconds=1)))

    assert book.calendar().sources[DaySource.STAFF].days == (last,)
    (found,) = book.bans(key_of(1), None)
    assert found == ban
    assert found.until == NOON.astimezone(UTC) + timedelta(milliseconds=1)


def test_a_ban_too_short_to_be_stored_is_refused(
    book: BranchRecords, writer: BranchRecordsWriter
) -> None:
    """Times are kept to the millisecond; one that is nothing then would read as damage."""
    with pytest.raises(InputError, match="ends before it begins"):
        _ban(writer, ban=replace(BAN, since=NOON + DAY, until=NOON + DAY + timedelta.resolution))

    assert book.every_ban() == ()
