"""Files that an older doorctl laid out: after an upgrade a reader starts before the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from doorctl.access.throttle import CardThrottle
from doorctl.core.errors import StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.ports import StoredCalendar
from doorctl.store import branch_rows, visit_rows
from doorctl.store import patrons as patron_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.connection import (
    Layout,
    create_file,
    execute_fitting,
    lay_out,
    newest,
    open_writer,
    transaction,
)
from doorctl.store.door_log import VisitHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.quarantine import set_aside_if_damaged
from doorctl.store.visits import VisitStore, create_visits, open_or_create_visits
from tests.store.samples import NOON, SEAL, key_of, sealed

NOW = Moment(NOON, NOON, ClockState.TRUSTED)


def _later(migrations: Layout) -> list[str]:
    return list(migrations.steps)[1:]


def _laid_out(path: Path, migrations: Layout, before: str, *statements: str) -> Path:
    """Make the file that doorctl left until a migration came, and fill it as that one did."""
    create_file(path)
    with closing(open_writer(path)) as database:
        migrations.apply(database, stop_before=before)
        for statement in statements:
            database.execute(statement)
    return path


CHECK = sealed(1, "a").patron.pin_check or b""
PATRON = f"""
    INSERT INTO patrons (row_key, pin_check, patron_ref, resident, active, blocks, restricted,
        enter_from, tags, epoch)
    VALUES (x'{key_of(1).hex()}', x'{CHECK.hex()}', 'a', 1, 1, '["O"]', 0, '2027-01-02', '[]', 7)
"""  # noqa: S608 -- constants of the tests
FILLED = f"""
    INSERT INTO cache (only, epoch, applied_at, minimum_age, patrons, key_id, memory_kib,
        iterations)
    VALUES (1, 7, '{NOON.isoformat()}', 15, 1, '{SEAL.key_id}', {SEAL.memory_kib},
        {SEAL.iterations})
"""  # noqa: S608 -- constants of the tests
FOUND = replace(
    sealed(1, "a").patron, blocks=frozenset({"O"}), enter_from=date(2027, 1, 2), active=True
)


@pytest.mark.parametrize("before", _later(patron_rows.migrations))
def test_patrons_of_every_older_layout_are_found(tmp_path: Path, before: str) -> None:
    """An upgraded door decides by the file it has, and web's migration is seen at once."""
    path = _laid_out(tmp_path / "patrons.db", patron_rows.migrations, before, PATRON, FILLED)
    with closing(PatronCache(path, SEAL)) as cache:
        assert cache.find(key_of(1)) == FOUND
        assert cache.find(key_of(2)) is None
        assert (cache.stamp().epoch, cache.stamp().applied_at) == (7, NOON)
        assert cache.behind() == (
            f"{path} is of an older doorctl; start doorctl-web once, or load the full feed"
        )

        with closing(PatronCacheWriter(path, SEAL)) as writer:
            assert cache.behind() is None
            assert cache.find(key_of(1)) == FOUND
            weak = replace(sealed(2, "b").patron, weak_pin=True)
            writer.keep(
                replace(sealed(2, "b"), patron=weak),
                row_until=date(2026, 5, 5),
                pin_until=date(2026, 6, 5),
                learnt_on=NOON.date(),
            )
            asked = replace(weak, pin_until=date(2026, 5, 5), pushed=False)
            assert cache.find(key_of(2)) == asked


def test_what_an_older_doorctl_learnt_is_used(tmp_path: Path) -> None:
    """A PIN check and a whole row that the library system brought count before the migration."""
    unknown_pin = PATRON.replace(f"x'{CHECK.hex()}'", "NULL")
    learnt = f"""
        INSERT INTO learnt VALUES (x'{key_of(1).hex()}', x'{CHECK.hex()}', '2026-05-01',
            '2026-06-01')
    """  # noqa: S608 -- constants of the tests
    asked = f"""
        INSERT INTO asked VALUES (x'{key_of(2).hex()}', x'{CHECK.hex()}', 'b', 1, 1, '[]', 0,
            NULL, NULL, NULL, NULL, '[]', '2026-05-01', '2026-06-01', '2026-05-05')
    """  # noqa: S608 -- constants of the tests
    statements = (unknown_pin, FILLED, learnt, asked)
    path = _laid_out(tmp_path / "patrons.db", patron_rows.migrations, "add_weak_pin", *statements)
    with closing(PatronCache(path, SEAL)) as cache:
        assert cache.find(key_of(1)) == replace(FOUND, pin_until=date(2026, 6, 1))
        found = cache.find(key_of(2))
        assert found is not None
        assert (found.patron_ref, found.pin_until, found.pushed) == ("b", date(2026, 5, 5), False)


@pytest.mark.parametrize("before", _later(visit_rows.migrations))
def test_an_upgraded_command_reads_the_log_of_an_older_door(tmp_path: Path, before: str) -> None:
    """Visits are listed while the door from before the upgrade runs on; it has no holds yet."""
    attempt = f"""
        INSERT INTO attempts (at_ms, clock, boot_id, boot_ms, row_key)
        VALUES ({visit_rows.to_ms(NOON)}, 'trusted', 'boot-1', 1, x'{key_of(1).hex()}')
    """  # noqa: S608 -- constants of the tests
    path = _laid_out(tmp_path / "visits.db", visit_rows.migrations, before, attempt)
    with closing(VisitHistory(path)) as history:
        assert [visit.at for visit in history.visits(NOON)] == [NOON]
        assert history.card_throttle(key_of(1)) == CardThrottle()
        assert history.high_water() is None
        assert history.holds() == ()

        open_or_create_visits(path).close()
        assert history.holds() == ()
        assert [visit.at for visit in history.visits(NOON)] == [NOON]


@pytest.mark.parametrize("before", _later(branch_rows.migrations))
def test_bans_of_every_older_layout_count(tmp_path: Path, before: str) -> None:
    """An upgraded door knows bans; what has no table yet nobody has stored."""
    ban = f"""
        INSERT INTO bans (row_key, reason, since_ms, by, branches, note)
        VALUES (x'{key_of(1).hex()}', 'noise', 0, 'staff-7', '["oest"]', 'a letter')
    """  # noqa: S608 -- constants of the tests
    path = _laid_out(tmp_path / "branch.db", branch_rows.migrations, before, ban)
    with closing(BranchRecords(path)) as book:
        assert [one.reason for one in book.bans(key_of(1), None)] == ["noise"]
        assert book.passes_of(key_of(1)) == ()
        assert not book.restricted(key_of(1), "a")
        assert book.calendar() == StoredCalendar(None, ())
        assert book.override() is None
        assert book.setting("key") is None

        with closing(BranchRecordsWriter(path)) as writer:
            writer.keep_setting("key", "value", NOW)
            writer.database.execute(
                "INSERT INTO restrictions (row_key, since_ms, by) VALUES (?, 0, 'staff-7')",
                [key_of(1)],
            )
            assert book.setting("key") == "value"
            assert book.restricted(key_of(1), None)


def test_a_file_of_somebody_else_is_no_older_one(tmp_path: Path) -> None:
    """Where even the first layout's tables are missing, nothing is taken for empty."""
    path = tmp_path / "any.db"
    create_file(path)
    with closing(open_writer(path)) as database:
        database.execute("CREATE TABLE shopping (item TEXT)")
    with (
        closing(PatronCache(path, SEAL)) as cache,
        closing(VisitHistory(path)) as history,
        closing(BranchRecords(path)) as book,
    ):
        asks: tuple[Callable[[], object], ...] = (
            lambda: cache.find(key_of(1)),
            cache.stamp,
            lambda: list(history.visits(NOON)),
            history.holds,
            lambda: book.bans(key_of(1), None),
            lambda: book.restricted(key_of(1), None),
            book.calendar,
            book.override,
            lambda: book.setting("key"),
        )
        for ask in asks:
            with pytest.raises(StoreError, match="it does not hold doorctl's tables"):
                ask()


def test_another_trouble_is_not_taken_for_an_older_layout() -> None:
    """A statement that the file understands is never replaced by one that knows less."""
    overflow = f"SELECT abs({-(2**63)})"
    with (
        closing(sqlite3.connect(":memory:")) as database,
        pytest.raises(sqlite3.Error, match="integer overflow"),
    ):
        execute_fitting(database, (overflow, "SELECT 1"))


def _upgraded(path: Path, migrations: Layout) -> Path:
    """Do to a file what a doorctl to come does: one step more than this one knows."""
    with closing(open_writer(path)) as database, transaction(database):
        database.execute("CREATE TABLE to_come (x INTEGER) STRICT")
        done = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        database.execute(f"{done} VALUES (?, 'add_to_come', '')", (migrations.name,))
        database.execute(f"PRAGMA user_version = {newest(migrations) + 1}")
    return path


REFUSED = pytest.raises(StoreError, match=r"db was laid out by a newer doorctl")


def test_a_newer_register_lets_nobody_in(tmp_path: Path) -> None:
    """A program that would not heed all that keeps people out reads none of it, and writes none.

    It is no damage either: whoever installs the newer program again finds it as it was.
    """
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    content = _upgraded(path, patron_rows.migrations).read_bytes()

    with closing(PatronCache(path, SEAL)) as cache:
        for read in (lambda: cache.find(key_of(1)), cache.stamp, cache.behind):
            with REFUSED:
                read()
    with REFUSED:
        PatronCacheWriter(path, SEAL)
    assert set_aside_if_damaged(path, NOON, patron_rows.migrations) is None
    assert path.read_bytes() == content


def test_bans_of_a_newer_doorctl_are_refused(tmp_path: Path) -> None:
    """Else an older program would let in whom it does not know to be banned."""
    path = tmp_path / "branch.db"
    create_branch(path)
    _upgraded(path, branch_rows.migrations)

    with closing(BranchRecords(path)) as book:
        for read in (lambda: book.bans(key_of(1), None), book.calendar):
            with REFUSED:
                read()
    with REFUSED:
        BranchRecordsWriter(path)


def test_a_door_log_of_a_newer_doorctl_is_refused(tmp_path: Path) -> None:
    """Neither written on nor shown."""
    path = tmp_path / "visits.db"
    create_visits(path)
    _upgraded(path, visit_rows.migrations)

    with closing(VisitHistory(path)) as history, REFUSED:
        list(history.visits(NOON))
    with REFUSED:
        VisitStore(path)


def test_a_number_alone_is_no_newer_file(tmp_path: Path) -> None:
    """One wrong bit in the file's head keeps nobody out; the next start puts it right."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    with closing(open_writer(path)) as database:
        database.execute("PRAGMA user_version = 65541")

    PatronCacheWriter(path, SEAL).close()

    with closing(open_writer(path)) as database:
        found = database.execute("PRAGMA user_version").fetchone()
    assert found == (newest(patron_rows.migrations),)


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """All steps and the layout's number are one transaction."""
    path = tmp_path / "some.db"
    create_file(path)
    steps = Layout("some")

    @steps()
    def make(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE made (x INTEGER) STRICT")

    @steps()
    def fail(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE made (x INTEGER) STRICT")

    with closing(open_writer(path)) as database:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            lay_out(database, steps)
        assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
