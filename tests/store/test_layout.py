"""How a file is laid out, and what is said of one that another doorctl laid out.

Bug (review of version 0.1): a door whose log was taken away loaded sqlite-utils, 0.17 s, while a
patron waited for the first answer.

Bug (outside look): a file of a layout before the release was called one of 0.1, and the advice, to
replace it alone, was what `init` refuses.

The list of every stored field is complete: `doorctl/store/README.md` says why and how long.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.privacy.tables import BRANCH, Column
from doorctl.store import branch_rows, outbox
from doorctl.store import door_log as visit_rows
from doorctl.store import patrons as patron_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.connection import create_file, open_writer, transaction
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.door_log import VisitHistory
from doorctl.store.layout import Layout, Step, lay_out, newest
from doorctl.store.outbox import open_or_create_outbox
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.reader import WatchedReader
from doorctl.store.tables import create_tables, of_database, rehearse, select, whole
from doorctl.store.visits import TRIED, create_visits, open_or_create_visits
from doorctl.store.writer import Writer
from tests.store.samples import BAN, NOON, NOW, SEAL, key_of


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
        )
        for ask in asks:
            with pytest.raises(StoreError, match="it does not hold doorctl's tables"):
                ask()


RELEASED = Path(__file__).parents[1] / "releases" / "0.2"
Use = Callable[[Path], object]
STORES: dict[str, tuple[Layout, Use, Use]] = {
    "patrons": (
        patron_rows.migrations,
        lambda path: PatronCache(path, SEAL).find(key_of(1)),
        lambda path: PatronCacheWriter(path, SEAL),
    ),
    "visits": (
        visit_rows.migrations,
        lambda path: list(VisitHistory(path).visits(NOON)),
        open_or_create_visits,
    ),
    "branch": (
        branch_rows.migrations,
        lambda path: BranchRecords(path).bans(key_of(1), None),
        BranchRecordsWriter,
    ),
    "outbox": (outbox.migrations, outbox.OutboxStore, outbox.OutboxStore),
}
"""How each database is laid out, read, and opened to be written."""
LAYOUTS = [layout for layout, _, _ in STORES.values()]


def _content(database: sqlite3.Connection) -> list[str]:
    """Everything but the salts and the time, which are another each time."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    dump = (line for line in database.iterdump() if "_salt" not in line)
    return [str(number), *(re.sub(r"\d{4}-\d\d-.*?'|[\"\s]", "", line) for line in dump)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_file_that_is_made_at_once_is_the_same(layout: Layout) -> None:
    """Whether the library lays it out, or the door where a patron waits: steps, list and number."""
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as by_library,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as at_once,
    ):
        layout.apply(by_library)
        layout.begin(at_once)
        assert _content(at_once) == _content(by_library)
        assert not layout.pending(at_once)


def test_a_door_log_is_made_without_loading_the_library(tmp_path: Path) -> None:
    """It takes 0.17 s, and a patron may be waiting while the door begins its log anew."""
    script = (
        "import sys; from pathlib import Path; from doorctl.store.visits import RetriedVisits;"
        "log = RetriedVisits(Path(sys.argv[1])); log.open(); log.close();"
        "sys.exit('sqlite_utils' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "visits.db"], check=True)
    with closing(VisitHistory(tmp_path / "visits.db")) as history:
        assert history.holds() == ()


UNRELEASED = pytest.raises(
    StoreError,
    match=r"before doorctl was first released; .* move it and .* other databases .* full push$",
)


@pytest.mark.parametrize("name", STORES)
def test_a_file_of_an_unreleased_doorctl_is_told_as_that(tmp_path: Path, name: str) -> None:
    """No reader and no writer takes it for empty, and nothing in it is changed."""
    path = tmp_path / f"{name}.db"
    create_file(path)
    with closing(open_writer(path)) as database:
        database.execute(f"CREATE TABLE {name} (x INTEGER)")
        database.execute("CREATE TABLE _sqlite_migrations (migration_set, name, applied_at)")
        # By number alone one with as many steps as today's would be taken for one of today.
        count = newest(STORES[name][0]) + 1
        steps = [(name, f"add_{number}", "") for number in range(count)]
        database.executemany("INSERT INTO _sqlite_migrations VALUES (?, ?, ?)", steps)
        database.execute(f"PRAGMA user_version = {count}")
    content = path.read_bytes()

    for use in STORES[name][1:]:
        with UNRELEASED:
            use(path)
    assert path.read_bytes() == content


def test_a_released_file_is_brought_forward_by_its_writer(tmp_path: Path) -> None:
    """Until then its readers say what to do; its rows stay."""
    path = tmp_path / "some.db"

    def release_1(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE held (x INTEGER) STRICT")

    def release_2(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE held ADD COLUMN y INTEGER NOT NULL DEFAULT 7")

    first = Layout("some", {"release_1": release_1})
    second = Layout("some", {**first.steps, "release_2": release_2})
    create_file(path, first)
    with closing(Writer(path, first)) as writer:
        writer.database.execute("INSERT INTO held VALUES (1)")

    with closing(WatchedReader(path, "mend it", second)) as reader:
        with pytest.raises(StoreError, match=r"^some\.db is of an older doorctl; start"):
            reader.current()
        Writer(path, second).close()
        assert reader.current().execute("SELECT * FROM held").fetchall() == [(1, 7)]
    with REFUSED:
        Writer(path, first)


def _upgraded(path: Path, migrations: Layout) -> Path:
    """Do to a file what a doorctl to come does: one step more than this one knows."""
    with closing(open_writer(path)) as database, transaction(database):
        database.execute("CREATE TABLE to_come (x INTEGER) STRICT")
        done = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        database.execute(f"{done} VALUES (?, 'add_to_come', '')", (migrations.name,))
        database.execute(f"PRAGMA user_version = {newest(migrations) + 1}")
    return path


REFUSED = pytest.raises(StoreError, match=r"db was laid out by a newer doorctl")


HINT = Column("hint", "TEXT NOT NULL DEFAULT 'none'", "Et råd", "A hint", twice=True, since=(9, 1))


def test_a_column_that_comes_with_a_later_release_changes_no_earlier_layout(tmp_path: Path) -> None:
    """A file of 0.2 with its rows is no damaged one; its writer adds the column to all of them.

    Bug (layouts thought through): a column of the next release would have made every good file
    of 0.2 a damaged one, set aside with its rows.
    """
    tables = [
        replace(table, columns=(*table.columns[:3], HINT, *table.columns[3:]))
        if table.name == "bans"
        else table
        for table in of_database(BRANCH)
    ]
    steps: dict[str, Step] = {
        f"release_{major}_{minor}": partial(create_tables, tables=tables, release=(major, minor))
        for major, minor in ((0, 2), (0, 3), (9, 1))
    }
    layout = Layout("branch", steps)
    path = tmp_path / "branch.db"
    create_branch(path)
    with closing(BranchRecordsWriter(path)) as branch:
        branch.ban(replace(BAN, reason="reason"), NOW, row_key=key_of(1), patron_ref=None)

    assert set_aside_if_damaged(path, NOON, layout) is None
    (bans,) = (table for table in tables if table.name == "bans")
    rows = select("reason, hint", f"bans WHERE {whole(bans)}")
    with closing(Writer(path, layout)) as writer:
        assert writer.database.execute(rows).fetchall() == [("reason", "none")]
        writer.database.execute("UPDATE bans SET hint = 'ring'")
        assert writer.database.execute(rows).fetchall() == [("reason", "ring")]
    assert set_aside_if_damaged(path, NOON, layout) is None


@pytest.mark.parametrize("name", STORES)
def test_a_file_of_a_newer_doorctl_is_refused(tmp_path: Path, name: str) -> None:
    """A program that would not heed all that keeps people out reads none of it, and writes none.

    It is no damage either: whoever installs the newer program again finds it as it was.

    Bug (operations review): an older program ran on a newer file and forgot what it did not
    know: a ban.
    """
    path = tmp_path / f"{name}.db"
    layout, *uses = STORES[name]
    create_file(path, layout)
    content = _upgraded(path, layout).read_bytes()

    for use in uses:
        with REFUSED:
            use(path)
    assert set_aside_if_damaged(path, NOON, layout) is None
    assert path.read_bytes() == content


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


def test_a_wrong_bit_in_the_list_of_steps_keeps_nobody_out(tmp_path: Path) -> None:
    """The file's number and the list's length say enough: bans are read, and web can start.

    Bug (read by a stranger): since a database has one step, one wrong bit in its name kept
    everybody out and web from starting, and the sentence said to move `branch.db`, with all
    bans, away.
    """
    path = tmp_path / "branch.db"
    create_branch(path)
    content = path.read_bytes()
    listed = content.rindex(b"branchrelease_0_2")
    for byte in range(listed, listed + len(b"branchrelease_0_2")):
        path.write_bytes(content[:byte] + bytes([content[byte] ^ 1]) + content[byte + 1 :])

        with closing(BranchRecords(path)) as book:
            assert book.bans(key_of(1), None) == ()
        BranchRecordsWriter(path).close()


def test_a_list_that_can_not_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """Else a writer would lay out a second time what stands there."""
    path = tmp_path / "branch.db"
    create_branch(path)
    with closing(open_writer(path)) as database:
        database.set_progress_handler(lambda: 1, 1)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            branch_rows.migrations.pending(database)


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """All steps and the layout's number are one transaction."""
    path = tmp_path / "some.db"
    create_file(path)

    def make(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE made (x INTEGER) STRICT")

    steps = Layout("some", {"make": make, "make_again": make})
    with closing(open_writer(path)) as database:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            lay_out(database, steps)
        assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        assert database.execute("PRAGMA user_version").fetchone() == (0,)


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=lambda layout: layout.name)
def test_a_layout_that_can_not_be_written_is_found(tmp_path: Path, layout: Layout) -> None:
    """A row of each table is inserted once more and taken back; a released file is full enough.

    Bug (mission review): a release whose new layout took no row passed its self-test.
    """
    path = tmp_path / f"{layout.name}.db"
    name, first = path.name, TRIED if layout is visit_rows.migrations else ""
    with closing(sqlite3.connect(path)) as database:
        database.executescript((RELEASED / f"{path.stem}.sql").read_text(encoding="utf-8"))
    with closing(Writer(path, layout)) as writer:
        before = list(writer.database.iterdump())
        rehearse(writer.database, name, first)
        assert list(writer.database.iterdump()) == before
        assert not writer.database.in_transaction

        table = of_database(name)[0]
        writer.database.execute(
            f"CREATE TRIGGER wrong BEFORE INSERT ON {table.name} "
            "BEGIN SELECT RAISE(ABORT, 'no row'); END"
        )
        before = list(writer.database.iterdump())
        with pytest.raises(sqlite3.Error, match="no row"):
            rehearse(writer.database, name, first)
        assert list(writer.database.iterdump()) == before


README = Path(__file__).parents[2] / "doorctl" / "store" / "README.md"

BOOKKEEPING = {"sqlite_sequence", "_sqlite_migrations"}

HEADER = {"table", "---"}

Field = tuple[str, str, str]


def told() -> Iterator[tuple[Field, str, str]]:
    """Yield each field that the list names, with why it is kept and for how long."""
    database = ""
    for line in README.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            database = line.split()[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[0] not in HEADER:
            table, fields, why, how_long = cells
            for name in fields.split(", "):
                yield (database, table, name), why, how_long


@pytest.fixture
def stored(tmp_path: Path) -> list[Field]:
    """Every column of every database, freshly created."""
    create_visits(tmp_path / "visits.db")
    create_patrons(tmp_path / "patrons.db", SEAL)
    create_branch(tmp_path / "branch.db")
    open_or_create_outbox(tmp_path / "outbox.db").close()
    return [field for path in sorted(tmp_path.glob("*.db")) for field in _fields(path)]


def _fields(path: Path) -> Iterator[Field]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = connection.execute(f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608 - a schema's own name
            if table not in BOOKKEEPING:
                yield from ((path.name, table, name) for (name,) in columns)


def test_every_stored_field_is_on_the_list(stored: list[Field]) -> None:
    """A new column without a line, or a line whose column is gone, fails here."""
    listed = [field for field, _, _ in told()]

    assert sorted(listed) == sorted(stored)


def test_every_field_has_a_reason_and_an_end() -> None:
    """What nobody can justify is not stored."""
    assert [field for field, why, how_long in told() if not (why and how_long)] == []
