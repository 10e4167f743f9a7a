"""The search of raw bytes finds all that is there and disturbs nobody; its reports are kept.

Bug (outside look): `doorctl purge --verify` of a named pipe waited for ever.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import StoreError
from doorctl.privacy.purge_proof import Trim
from doorctl.store import residue
from doorctl.store.purge_reports import LARGEST_BYTES, REPORTS_KEPT, PurgeReports, read_report
from doorctl.store.residue import CHUNK_BYTES, found_in, search_apart
from doorctl.store.trim import trim
from doorctl.store.visits import VisitStore
from tests.store.samples import NOON, Log, key_of

TIME = (1_790_000_000_000).to_bytes(6, "big")

# So few values that needles overlap, share blocks and begin alike.
FEW = st.integers(0, 1)
KEYS = st.sets(st.lists(FEW, min_size=16, max_size=16).map(bytes), max_size=4)
TIMES = st.sets(st.lists(FEW, min_size=6, max_size=6).map(bytes), max_size=3)


@given(st.lists(FEW, max_size=120).map(bytes), KEYS, TIMES)
def test_finds_what_a_plain_search_finds(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, keys: set[bytes], times: set[bytes]
) -> None:
    """Neither more nor less, wherever it stands and whatever it shares with others."""
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)

    found, bytes_read, names = found_in([path], keys | times)

    assert found == {needle for needle in keys | times if needle in content}
    assert (bytes_read, names) == (len(content), ["file"])


@pytest.mark.parametrize("offset", [*range(-17, 18), CHUNK_BYTES - 16])
@pytest.mark.parametrize("needle", [key_of(1), TIME])
def test_finds_what_lies_across_two_readings(tmp_path: Path, offset: int, needle: bytes) -> None:
    """A file is read in pieces; a needle at their edges is whole in one of them."""
    content = bytearray(CHUNK_BYTES * 2 + 40)
    first = CHUNK_BYTES + offset
    content[first : first + len(needle)] = needle
    path = tmp_path / "file"
    path.write_bytes(content)

    assert found_in([path], [needle, key_of(2)])[0] == {needle}


def test_more_needles_than_one_reading_takes(tmp_path: Path) -> None:
    """A branch that was off for a month has tens of thousands; memory does not grow with them."""
    needles = [key_of(number) for number in range(residue.BATCH + 5)]
    path = tmp_path / "file"
    path.write_bytes(b"abc".join(needles[::1000]))

    assert found_in([path], needles)[0] == set(needles[::1000])


def test_what_is_no_key_and_no_time_is_refused(tmp_path: Path) -> None:
    """A needle that is not looked for must not count as not found."""
    with pytest.raises(ValueError, match="bytes long"):
        found_in([tmp_path / "none"], [b"short"])


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """After a clean end there is no WAL."""
    assert found_in([tmp_path / "none"], [key_of(1)]) == (set(), 0, [])


@pytest.fixture
def path(log: Log) -> Path:
    """Where a door log with one visit stands."""
    log.open(1, card=1)
    log.store.close()
    return log.path


@pytest.fixture
def reports(tmp_path: Path) -> PurgeReports:
    """A shelf of reports."""
    return PurgeReports(tmp_path / "purges")


def test_finds_what_a_careless_deletion_leaves(path: Path) -> None:
    """Without secure_delete, VACUUM and a checkpoint a deleted visit is there to be read."""
    with closing(sqlite3.connect(path)) as careless:
        careless.execute("PRAGMA secure_delete=OFF")
        careless.execute("DELETE FROM attempts")
        careless.commit()

        found = search_apart(path, frozenset({key_of(1), key_of(2)}))

    assert found.needles == {key_of(1)}
    assert "visits.db" in found.files
    assert found.bytes_read >= path.stat().st_size


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_finds_what_lies_beside_the_database(path: Path, suffix: str) -> None:
    """Each file that SQLite makes beside it is read."""
    path.with_name(f"visits.db{suffix}").write_bytes(b"x" + key_of(7))

    assert search_apart(path, frozenset({key_of(7)})).needles == {key_of(7)}


def test_finds_what_the_copy_from_before_an_upgrade_holds(path: Path, tmp_path: Path) -> None:
    """It is root's and lies beside the releases, for as long as one of them is on trial."""
    (tmp_path / "before-upgrade").mkdir()
    copy = tmp_path / "before-upgrade" / "visits.db"
    copy.write_bytes(b"x" + key_of(7))
    release = tmp_path / "releases" / "0.3"

    assert search_apart(path, frozenset({key_of(7)}), release=release).needles == {key_of(7)}
    copy.unlink()
    assert search_apart(path, frozenset({key_of(7)}), release=release).needles == set()


def test_finds_what_a_file_without_a_name_holds(path: Path, tmp_path: Path) -> None:
    """SQLite unlinks its temporary files at once; they take room for as long as they are open."""
    temporary = tmp_path / "gone"
    with temporary.open("w+b") as file:
        file.write(b"x" + key_of(7))
        file.flush()
        temporary.unlink()

        assert search_apart(path, frozenset({key_of(7)})).needles == {key_of(7)}
    assert search_apart(path, frozenset({key_of(7)})).needles == set()


def test_finds_sqlites_temporary_files(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was told to put them."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "etilqs_0123").write_bytes(key_of(7))

    assert search_apart(path, frozenset({key_of(7)})).needles == {key_of(7)}


def test_only_files_are_searched(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write into /tmp stops no proof by a directory, a pipe or a link of that name."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(elsewhere))
    (elsewhere / "etilqs_dir").mkdir()
    os.mkfifo(elsewhere / "etilqs_pipe")
    (elsewhere / "etilqs_link").symlink_to(elsewhere / "etilqs_pipe")
    (elsewhere / "etilqs_none").symlink_to(elsewhere / "none")

    found = search_apart(path, frozenset({key_of(7)}), limit_s=20.0)

    assert not [name for name in found.files if name.startswith("etilqs_")]


TAKE_OVER = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0)"


def _taken_over(path: Path) -> bool:
    """Tell whether another process could do what only the last one may: leave WAL mode."""
    program = f"{TAKE_OVER}.execute('PRAGMA journal_mode=DELETE')"
    done = subprocess.run(
        [sys.executable, "-c", program, path], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0 or "locked" in done.stderr
    return done.returncode == 0


def _opened_and_closed(path: Path) -> None:
    path.read_bytes()


def _searched(path: Path) -> None:
    search_apart(path, frozenset({key_of(1)}))


@pytest.mark.parametrize(("read", "lost"), [(_opened_and_closed, True), (_searched, False)])
def test_the_search_takes_no_lock_away(
    path: Path, read: Callable[[Path], None], *, lost: bool
) -> None:
    """Closing a file drops the locks that SQLite has on it in that process: a trap, shown here."""
    with closing(VisitStore(path)):
        assert not _taken_over(path)
        read(path)
        assert _taken_over(path) is lost


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with 3"),
        ((sys.executable, "-c", "print('nonsense')"), "no answer"),
        ((sys.executable, "-c", 'print(\'{"found":[9],"bytes_read":1,"files":[]}\')'), "no a"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "more than"),
        (("/nonexistent",), "can't be started"),
    ],
)
def test_a_search_that_fails_proves_nothing(path: Path, program: tuple[str, ...], why: str) -> None:
    """It is an error and never an empty answer."""
    limit_s = 0.2 if why == "more than" else 60.0
    with pytest.raises(StoreError, match=why):
        search_apart(path, frozenset({key_of(1)}), program=program, limit_s=limit_s)


def test_a_question_shows_nothing() -> None:
    """What is looked for is about people."""
    assert key_of(1).hex() not in repr(residue.Wanted([key_of(1).hex()], []))


def test_reports_are_for_their_owner_only(tmp_path: Path, reports: PurgeReports) -> None:
    """Directory and files; two in one second do not overwrite each other."""
    paths = [reports.keep(content, NOON) for content in (b"one", b"two")]

    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert [path.name for path in paths] == ["20260504T120000Z.json", "20260504T120000Z.1.json"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (tmp_path / "purges").stat().st_mode & 0o777 == 0o700


def test_reports_are_kept_for_six_months(tmp_path: Path, reports: PurgeReports) -> None:
    """Then they go with the next one; whatever else lies there stays."""
    first = reports.keep(b"first", NOON)
    note = tmp_path / "purges" / "0-note.txt"
    note.write_text("a note")

    reports.keep(b"second", NOON + REPORTS_KEPT)
    assert first.exists()
    reports.keep(b"third", NOON + REPORTS_KEPT + timedelta(seconds=1))
    assert not first.exists()
    assert note.exists()


def test_a_shelf_that_cannot_be_written_is_told(tmp_path: Path, reports: PurgeReports) -> None:
    """A purge without a report is not one with a report; nor is a link in its place followed.

    A report lies where it is looked for, and nowhere that somebody chose for it.
    """
    shelf, elsewhere = tmp_path / "purges", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for lay in (Path.touch, lambda path: path.symlink_to(elsewhere)):
        lay(shelf)
        with pytest.raises(StoreError, match="can't be written"):
            reports.keep(b"one", NOON)
        shelf.unlink()
    assert not list(elsewhere.iterdir())


def test_what_is_no_report_is_not_read_for_ever(tmp_path: Path) -> None:
    """A missing file, one that is far too large, and what is no file are told at once."""
    large = tmp_path / "large"
    large.write_bytes(bytes(LARGEST_BYTES + 1))

    with pytest.raises(StoreError, match="too large"):
        read_report(large)
    with pytest.raises(StoreError, match="can't be read"):
        read_report(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(StoreError, match="not a regular file"):
            read_report(odd)


@pytest.mark.parametrize("place", ["/proc", "/nonexistent"])
def test_a_trim_that_cannot_be_done_is_told_and_stops_nothing(place: str) -> None:
    """No disk is below the one, and nothing at all below the other."""
    assert trim(Path(place)) in {Trim.NOT_PERMITTED, Trim.NOT_SUPPORTED, Trim.FAILED}
