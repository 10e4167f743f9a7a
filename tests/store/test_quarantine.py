"""Bugs that were found.

Bug (read by a stranger): one wrong bit in patrons.db's list of layout steps kept web from starting,
for good (of the day before: set aside until then).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.core.errors import StoreBusyError, StoreDamagedError
from doorctl.core.moments import BootTime
from doorctl.store.connection import create_file
from doorctl.store.damage.set_aside import discard_set_aside, is_damaged, set_aside_if_damaged
from doorctl.store.layout import Layout
from doorctl.store.patrons import migrations
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.store.visits import VisitStore, open_or_create_visits
from tests.store.samples import DAY, NOON, SEAL, Cache, Log, push, sealed

PAGE = 4096


@pytest.fixture
def patrons(cache: Cache) -> Path:
    """A cache of 500 patrons, closed."""
    return cache.filled(*(sealed(number, str(number)) for number in range(500))).path


def _write_text(path: Path) -> None:
    path.write_text("This is a note of somebody, not a database.\n" * 50)


def _changed(first: int, bytes_: bytes) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:first] + bytes_ + content[first + len(bytes_) :])

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "header": _changed(3, b"\0"),
    "a page's header": _changed(6 * PAGE, b"\xff" * 8),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // PAGE // 2 * PAGE),
    "a page of zeros": _changed(6 * PAGE, bytes(PAGE)),
    "a text": _write_text,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_renamed_with_its_companions(
    patrons: Path, damage: Callable[[Path], object]
) -> None:
    """Evidence is kept under a name that says when; the door can start anew at the old one."""
    damage(patrons)
    damaged = patrons.read_bytes()
    patrons.with_name("patrons.db-wal").write_bytes(b"half a frame")

    aside = set_aside_if_damaged(patrons, NOON)

    assert aside == patrons.with_name("patrons.db.damaged-20260504T120000")
    assert aside.read_bytes() == damaged
    assert aside.with_name(f"{aside.name}-wal").exists()
    assert not patrons.exists()
    assert not patrons.with_name("patrons.db-wal").exists()


def test_a_sound_a_new_and_a_missing_file_stay(patrons: Path) -> None:
    """Nothing is renamed without need: as it is made, for a doorctl to come, or empty."""
    later = Layout("patrons", {**migrations.steps, "release_0_4": lambda _database: None})
    touched, made, missing = map(patrons.with_name, ("touched.db", "made.db", "missing.db"))
    touched.touch()
    create_file(made)
    before = patrons.read_bytes()

    for layout in (None, migrations, later):
        for path in (patrons, touched, made, missing):
            assert set_aside_if_damaged(path, NOON, layout) is None

    assert patrons.read_bytes() == before


def test_a_database_in_use_is_checked_and_stays(log: Log) -> None:
    """The check reads the WAL too, works beside the writer and takes nothing from it."""
    log.open(1, card=1)

    assert set_aside_if_damaged(log.path, NOON) is None
    log.open(2, card=1)
    assert log.store.last_attempt() == 2


def test_a_damaged_file_is_not_renamed_under_its_writer(patrons: Path) -> None:
    """While a process still holds it the caller is told, and the file stays."""
    with closing(PatronCacheWriter(patrons, SEAL)):
        _write_text(patrons)

        with pytest.raises(StoreBusyError):
            set_aside_if_damaged(patrons, NOON)

        assert patrons.exists()


def test_evidence_is_not_overwritten(patrons: Path) -> None:
    """Without a battery clock two boots can bear the same second."""
    _write_text(patrons)
    first = set_aside_if_damaged(patrons, NOON)
    patrons.write_text("another one")
    second = set_aside_if_damaged(patrons, NOON)

    assert first is not None
    assert second is not None
    assert "note" in first.read_text()
    assert second.read_text() == "another one"


def test_after_setting_aside_the_log_starts_empty_and_the_cache_holds_nobody(
    cache: Cache, patrons: Path
) -> None:
    """The door goes on with an empty log; everybody the cache held is unknown until a push."""
    visits = patrons.with_name("visits.db")
    for path in (patrons, visits):
        _write_text(path)
        set_aside_if_damaged(path, NOON)

    with closing(open_or_create_visits(visits)) as store:
        assert store.last_attempt() == 0
    open_or_create_patrons(patrons, SEAL).close()
    assert cache.find(1) is None
    assert cache.lookup.stamp().epoch == 0


def test_a_register_in_the_place_of_a_damaged_one_is_incomplete_until_a_whole_one_comes(
    cache: Cache, patrons: Path
) -> None:
    """What it does not hold says nothing of a card, across restarts too; some rows don't end that.

    Bug (second penetration test, S15): everybody whom a damaged register had held was an unknown
    card, as if they had been taken out.
    """
    assert not cache.lookup.stamp().incomplete
    _write_text(patrons)
    set_aside_if_damaged(patrons, NOON)

    for _ in range(2):
        with closing(open_or_create_patrons(patrons, SEAL)) as writer:
            assert writer.is_incomplete()
        assert cache.lookup.stamp().incomplete
    with closing(open_or_create_patrons(patrons, SEAL)) as writer:
        push(writer, sealed(1, "1"), full=False)
        assert writer.is_incomplete()
        push(writer, sealed(2, "2"), full=True)
        assert not writer.is_incomplete()
        assert writer.note_damage()
        assert not writer.note_damage()
    assert cache.lookup.stamp().incomplete


def test_a_register_that_the_door_finds_damaged_is_doubted_until_another_takes_its_place(
    cache: Cache, patrons: Path
) -> None:
    """The door does not write it: it reads what is whole, and calls nobody unknown."""
    # A page of rows: SQLite reads nothing at all where one of the layout is lost.
    _changed(patrons.stat().st_size // PAGE // 2 * PAGE, bytes(PAGE))(patrons)
    assert is_damaged(patrons, migrations)
    cache.lookup.doubt()
    assert cache.lookup.stamp().incomplete

    set_aside_if_damaged(patrons, NOON)
    patrons.with_name("patrons.db.lock").unlink()
    with closing(open_or_create_patrons(patrons, SEAL)):
        assert not cache.lookup.stamp().incomplete
    assert not is_damaged(patrons, migrations)


def test_a_wal_left_alone_does_not_leak_into_a_new_database(log: Log) -> None:
    """Cut off between two renames, an old WAL never becomes part of the new file."""
    new = log.path.with_name("new.db")
    log.open(7, card=7)
    shutil.copy(f"{log.path}-wal", f"{new}-wal")

    with closing(open_or_create_visits(new)) as fresh:
        assert fresh.last_attempt() == 0


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("name", ["visits.db", "patrons.db"])
def test_a_damaged_copy_is_kept_for_a_day(tmp_path: Path, name: str, *, restarted: bool) -> None:
    """Its rows can be 30 days old already: the first purge after a day takes it, each database's.

    One that bears a time to come, of a clock that was wrong, would stay for ever and goes too. A
    process that has kept no time yet goes by the mark of the one before.
    """
    damaged, path = tmp_path / name, tmp_path / "visits.db"
    for age_hours in (0, 24, 25, 29 * 24, -1):
        _write_text(damaged)
        set_aside_if_damaged(damaged, NOON - timedelta(hours=age_hours))
    with closing(open_or_create_visits(path)) as store:
        # The mark may be behind the time that was kept, by which a process goes that has kept one.
        mark = NOON if restarted else NOON - 3 * DAY
        store.keep_time(NOON, BootTime("boot-1", 60_000), mark)
        if not restarted:
            store.delete_before(NOON - 30 * DAY)
    if restarted:
        with closing(VisitStore(path)) as store:
            store.delete_before(NOON - 30 * DAY)

    stamps = sorted(file.name[-15:] for file in tmp_path.glob("*.damaged-*"))
    assert stamps == ["20260503T120000", "20260504T120000"]


def test_no_copy_is_deleted_by_a_time_that_nobody_vouched_for(tmp_path: Path) -> None:
    """Before a trusted time is on record only what is older than the retention goes."""
    path = tmp_path / "visits.db"
    _write_text(path)
    set_aside_if_damaged(path, NOON - 31 * DAY)
    with closing(open_or_create_visits(path)) as store:
        store.delete_before(NOON - 31 * DAY)

    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    assert discard_set_aside(tmp_path, NOON) == 1


def test_the_companions_of_a_copy_go_with_it(tmp_path: Path) -> None:
    """Its WAL holds rows as well."""
    path = tmp_path / "visits.db"
    _write_text(path)
    path.with_name("visits.db-wal").write_bytes(b"half a frame")
    set_aside_if_damaged(path, NOON)

    assert list(tmp_path.glob("*.damaged-*-wal")) != []
    discard_set_aside(tmp_path, NOON + 2 * DAY)
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_folder_by_the_name_of_a_copy_stops_no_deletion(tmp_path: Path) -> None:
    """It is none of our copies, and stays; a link goes, and what it leads to stays.

    Bug (read by a stranger): a folder that a captured process had made there ended each purge.
    """
    folder, target = tmp_path / "a.db.damaged-20000101T000000", tmp_path / "target"
    folder.mkdir()
    target.touch()
    link = tmp_path / "c.db.damaged-20000101T000000"
    link.symlink_to(target)
    (tmp_path / "b.db.damaged-20000101T000000").touch()

    assert discard_set_aside(tmp_path, NOON) == 2
    assert sorted(tmp_path.iterdir()) == [folder, target]


@pytest.mark.parametrize("codes", [b"[\xff", b"[x", b"12"])
def test_a_value_that_was_changed_on_disk_is_damage(
    cache: Cache, patrons: Path, codes: bytes
) -> None:
    """What the check can't see is found when the row is read, and the row is not quoted."""
    content = patrons.read_bytes().replace(b"[]", codes)
    patrons.write_bytes(content)
    assert set_aside_if_damaged(patrons, NOON) is None

    with pytest.raises(StoreDamagedError) as caught:
        cache.find(1)

    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (b"minimum_age INTEGER", b"minimum_ago INTEGER"),  # a column that a push writes
        (b"CREATE TABLE cache", b"CREATE TABLE cachd"),
        (b"release_0_2", b"release_0_3"),  # a step that would be done a second time
        (b"applied_at", b"applied_au"),  # of the list of steps
    ],
)
def test_a_changed_name_is_damage(patrons: Path, name: bytes, other: bytes) -> None:
    """SQLite sees nothing wrong in it, but every push and each start would fail by it for ever.

    Bug (`tests.bitflip`): one wrong bit in a column's name, in the list of migrations or in the
    file's format ended web, or the door, at each start.
    """
    content = patrons.read_bytes()
    assert name in content
    patrons.write_bytes(content.replace(name, other))

    assert set_aside_if_damaged(patrons, NOON, migrations) is not None


@pytest.mark.parametrize("offset", [18, 47])
def test_a_changed_format_is_damage(patrons: Path, offset: int) -> None:
    """A number that makes SQLite call the file read-only, or of a format to come."""
    _changed(offset, bytes([6]))(patrons)

    assert set_aside_if_damaged(patrons, NOON) is not None
