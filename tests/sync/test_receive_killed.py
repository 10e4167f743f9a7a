from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from tests.sync.applying import ROWS, STORE_SEAL, apply, push_of
from tests.sync.pushes import stage

KILLS = 24
LONGEST_APPLY_S = 0.06


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty cache stands."""
    path = tmp_path / "patrons.db"
    create_patrons(path, STORE_SEAL)
    return path


@contextmanager
def _applying(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.sync.applying", str(path), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _held_whole(path: Path) -> int:
    """Return the epoch that is held; every row has to be of it, and the file sound."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((epoch, patrons),) = database.execute("SELECT epoch, patrons FROM cache").fetchall()
        found = database.execute("SELECT tags, epoch, count(*) FROM patrons GROUP BY 1, 2")
        expected = [(f'["{epoch}"]', epoch, ROWS)] if epoch else []
        assert found.fetchall() == expected
        assert patrons == (ROWS if epoch else 0)
        asked = database.execute("SELECT tags FROM asked").fetchall()
        # The row that was kept before a snapshot goes with it: the snapshot lacks it.
        before_changes = {(f'["{epoch}"]',)} if epoch % 2 else set()
        assert set(asked) <= {(f'["{epoch + 1}"]',), *before_changes}
    return int(epoch)


def test_a_process_killed_at_any_moment_leaves_a_whole_push(path: Path) -> None:
    """After each of two dozen SIGKILLs there is push k or k + 1, and k is what was answered."""
    moments = random.Random(7)  # noqa: S311 - repeatable, not secret
    answered = 0
    for _ in range(KILLS):
        with _applying(path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"begin {answered + 1}\n"
            time.sleep(moments.uniform(0, LONGEST_APPLY_S))
            process.kill()
            ended = [line for line in process.stdout if line.startswith("end ")]
        answered += len(ended)

        held = _held_whole(path)
        assert held in {answered, answered + 1}
        answered = held


@pytest.mark.parametrize("line", [0, 1500, 2999])
@pytest.mark.parametrize("held", [0, 1, 2])
def test_a_process_killed_while_it_reads_rows_has_applied_none(
    path: Path, held: int, line: int
) -> None:
    """However many rows had been put, the push before is what is held."""
    with closing(PatronCacheWriter(path, STORE_SEAL)) as writer:
        for epoch in range(1, held + 1):
            apply(writer, stage(push_of(epoch).data()))

    with _applying(path, str(line)) as process:
        assert process.wait() == -signal.SIGKILL

    assert _held_whole(path) == held
