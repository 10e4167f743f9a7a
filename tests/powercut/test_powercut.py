from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.powercut.cuts import (
    ENTRY,
    MAGIC,
    SUPER,
    VERSION,
    Boundaries,
    Cut,
    Flag,
    Kind,
    Write,
    writes,
)
from tests.powercut.model import Model, Oracle, modelled
from tests.powercut.replay import chosen
from tests.powercut.workload import FILES, work

SECTOR = 512


def logged(entries: list[Write], *, sector: int = SECTOR) -> bytes:
    """Return a log as the kernel writes it."""
    log = SUPER.pack(MAGIC, VERSION, len(entries), sector).ljust(sector, b"\0")
    for entry in entries:
        mark = entry.mark.encode()
        sectors = len(entry.data) // sector
        head = ENTRY.pack(entry.at // sector, sectors, entry.flags, len(mark)) + mark
        log += head.ljust(sector, b"\0") + bytes(entry.data)
    return log


def data(number: int, sectors: int = 1) -> memoryview:
    """Return so many sectors of one byte."""
    return memoryview(bytes([number]) * SECTOR * sectors)


WRITES = st.builds(
    lambda at, byte, sectors, flags: Write(at * SECTOR, data(byte, sectors), flags),
    st.integers(0, 2**40),
    st.integers(0, 255),
    st.integers(0, 9),
    st.sampled_from([Flag(0), Flag.FUA, Flag.FLUSH, Flag.FLUSH | Flag.FUA, Flag.METADATA]),
)
MARKS = st.builds(
    lambda text: Write(0, data(0, 0), Flag.MARK, text),
    st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=100),
)
LOGS = st.lists(WRITES | MARKS, max_size=20)


@given(LOGS)
def test_what_was_logged_comes_back(entries: list[Write]) -> None:
    """Places, bytes, flags and marks, in their order; a flush of nothing among them."""
    assert list(writes(logged(entries) + b"what was there before")) == entries


@given(LOGS, st.data())
def test_a_log_that_is_cut_off_is_refused(entries: list[Write], draw: st.DataObject) -> None:
    """A state is never rebuilt from half a log."""
    log = logged([*entries, Write(0, data(1), Flag(0))])
    length = draw.draw(st.integers(0, len(log) - 1))

    with pytest.raises(ValueError, match="log"):
        list(writes(log[:length]))


@given(st.binary(max_size=4096))
def test_anything_else_is_refused_or_read(found: bytes) -> None:
    """Whatever the bytes are, nothing but a ValueError is raised."""
    try:
        list(writes(SUPER.pack(MAGIC, VERSION, 3, SECTOR) + found))
    except ValueError:
        return


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (SUPER.pack(MAGIC + 1, VERSION, 0, SECTOR), "magic"),
        (SUPER.pack(MAGIC, VERSION + 1, 0, SECTOR), "version 2"),
        (SUPER.pack(MAGIC, VERSION, 0, 100), "sector"),
        (logged([Write(0, data(1), Flag(0))])[:SECTOR], "ends"),
        (
            SUPER.pack(MAGIC, VERSION, 1, SECTOR).ljust(SECTOR, b"\0")
            + ENTRY.pack(0, 0, 64, 0).ljust(SECTOR, b"\0"),
            "flags",
        ),
    ],
)
def test_what_this_version_does_not_know_is_refused(log: bytes, told: str) -> None:
    """Another format, or a flag that may mean that something lasts, is not guessed at."""
    with pytest.raises(ValueError, match=told):
        list(writes(log))


def test_a_discard_writes_nothing() -> None:
    """It has a place and a length, but no data behind it in the log."""
    head = ENTRY.pack(8, 16, Flag.DISCARD, 0).ljust(SECTOR, b"\0")
    after = logged([Write(0, data(7), Flag(0))])[SECTOR:]
    log = SUPER.pack(MAGIC, VERSION, 2, SECTOR).ljust(SECTOR, b"\0") + head + after

    discard, write = writes(log)

    assert (discard.at, len(discard.data)) == (8 * SECTOR, 0)
    assert bytes(write.data) == bytes(data(7))


SEEDS = st.integers(0, 100)


def seeded(seed: int) -> Random:
    """Return the same draws each time."""
    return Random(seed)  # noqa: S311 -- no secret


def volatile(entries: list[Write], at: int) -> set[int]:
    """Return the writes before a cut that nothing has made last, by counting back from it."""
    found = set()
    for number in range(at - 1, -1, -1):
        entry = entries[number]
        if entry.data and not entry.flushes and not entry.lasts:
            found.add(number)
        if entry.flushes:
            if entry.data and not entry.lasts:
                found.add(number)
            break
    return found


@given(LOGS)
def test_there_is_a_cut_at_each_write_and_it_has_all_before_it(entries: list[Write]) -> None:
    """In order: what stands before the cut is on the disk, and nothing behind it."""
    cuts = list(Boundaries(entries).in_order())

    assert len(cuts) == max(1, sum(bool(entry.data) for entry in entries))
    for cut in cuts:
        assert cut.at == len(entries) or entries[cut.at].data
        assert [*range(cut.since), *(number for number, _ in cut.kept)] == list(range(cut.at))


@given(LOGS, SEEDS)
def test_only_what_no_flush_covered_is_lost_or_torn(entries: list[Write], seed: int) -> None:
    """A harness that loses what was flushed or written through would find faults of its own."""
    boundaries = Boundaries(entries)
    for cut in boundaries.in_order():
        other = boundaries.reordered(cut, seeded(seed))
        if other is None:
            assert len(volatile(entries, cut.at)) < 2
            continue
        kept = dict(other.kept)
        there = {*range(other.since), *kept}
        assert {*range(cut.at)} - there <= volatile(entries, cut.at)
        assert {number for number, sectors in kept.items() if sectors is not None} <= volatile(
            entries, cut.at
        )


def test_writes_are_lost_and_torn_in_time() -> None:
    """Each of two writes is lost alone, both are, and one is torn within."""
    entries = [Write(0, data(1, 4), Flag.FLUSH), *(Write(0, data(n, 4), Flag(0)) for n in (2, 3))]
    boundaries = Boundaries(entries)
    (*_, last) = boundaries.in_order()
    random = seeded(1)

    found = [boundaries.reordered(last, random) for _ in range(200)]

    kept = {tuple(n for n, _ in cut.kept if n) for cut in found if cut}
    assert kept == {(), (1,), (2,), (1, 2)}
    assert {cut.kind for cut in found if cut} == {Kind.REORDERED, Kind.TORN}


@given(LOGS, st.integers(1, 60))
def test_no_state_is_counted_twice(entries: list[Write], count: int) -> None:
    """As many as are asked for where there are so many, sorted so that a disk never goes back."""
    cuts: list[Cut] = chosen(entries, count)

    assert len(set(cuts)) == len(cuts) <= count
    assert [cut.since for cut in cuts] == sorted(cut.since for cut in cuts)


ROUNDS = 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Go through two evenings once."""
    return modelled(tmp_path_factory.mktemp("model"), ROUNDS)


class Saved:
    """Copies the files after some acknowledgement, as a power cut there would leave them."""

    def __init__(self, directory: Path, after: int) -> None:
        self.directory = directory
        self.copy = directory.with_name("saved")
        self._left = after

    def acknowledge(self) -> None:
        """Copy them when it is time."""
        self._left -= 1
        if self._left == 0:
            shutil.copytree(self.directory, self.copy)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the files as they are after 40 acknowledgements."""
    (tmp_path / "disk").mkdir()
    saved = Saved(tmp_path / "disk", 40)
    work(tmp_path / "disk", ROUNDS, saved.acknowledge)
    return saved.copy


def change(path: Path, sql: str) -> None:
    """Change a file."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)


def test_what_was_acknowledged_last_is_right(model: Model, saved: Path, tmp_path: Path) -> None:
    """As is what was under way, or is one behind it; each file is used again after it."""
    oracle = Oracle(model, tmp_path)

    assert oracle.judge(saved, 40) == []
    assert oracle.judge(saved, 39) == []


def test_a_lost_acknowledgement_is_told(model: Model, saved: Path, tmp_path: Path) -> None:
    """Whichever file it is of."""
    oracle = Oracle(model, tmp_path)

    told = oracle.judge(saved, len(model.acknowledged) - 1)

    assert [each.split(":")[0] for each in told] == list(FILES)
    assert all("acknowledged is lost" in each for each in told)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("visits.db", "DELETE FROM attempts WHERE attempt = (SELECT min(attempt) FROM attempts)"),
        ("visits.db", "UPDATE throttles SET failures = failures + 1"),
        ("patrons.db", "DELETE FROM patrons WHERE rowid = 1"),
        ("branch.db", "DELETE FROM days"),
    ],
)
def test_a_part_of_a_change_is_told(
    model: Model, saved: Path, tmp_path: Path, name: str, sql: str
) -> None:
    """A row more or less in any table is a state that no commit ever left."""
    sql = sql.replace("rowid = 1", "row_key = (SELECT min(row_key) FROM patrons)")
    change(saved / name, sql)

    (told,) = Oracle(model, tmp_path).judge(saved, 40)

    assert told.startswith(name)
    assert "a part of a change" in told


def test_a_damaged_file_is_told(model: Model, saved: Path, tmp_path: Path) -> None:
    """What SQLite finds malformed, or what is cut off."""
    for name in FILES:
        path = saved / name
        path.write_bytes(path.read_bytes()[:1000])
        path.with_name(f"{name}-wal").unlink(missing_ok=True)

    oracle = Oracle(model, tmp_path)

    assert len(oracle.judge(saved, 40)) == len(FILES)
