from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TextIO

import pytest

from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from tests.sync.applying import ROWS, STORE_SEAL, apply, main, push_of
from tests.sync.pushes import stage

KILLS = 12
LONGEST_APPLY_S = 0.06


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty cache stands."""
    path = tmp_path / "patrons.db"
    create_patrons(path, STORE_SEAL)
    return path


def _applying(path: Path, *arguments: str) -> tuple[int, TextIO]:
    """Return the number of a process that applies, and what it says; its own, but imported."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        sys.argv = ["applying", str(path), *arguments]
        sys.stdout = os.fdopen(writing, "w", encoding="utf-8")
        try:
            main()
        finally:
            os._exit(1)
    os.close(writing)
    return pid, os.fdopen(reading, encoding="utf-8")


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
    """After each of a dozen SIGKILLs there is push k or k + 1, and k is what was answered."""
    moments = random.Random(7)  # noqa: S311 - repeatable, not secret
    answered = 0
    for _ in range(KILLS):
        pid, said = _applying(path)
        with said:
            assert said.readline() == f"begin {answered + 1}\n"
            time.sleep(moments.uniform(0, LONGEST_APPLY_S))
            os.kill(pid, signal.SIGKILL)
            ended = [line for line in said if line.startswith("end ")]
        os.waitpid(pid, 0)
        answered += len(ended)

        held = _held_whole(path)
        assert held in {answered, answered + 1}
        answered = held


@pytest.mark.parametrize(("held", "line"), [(0, 1500), (1, 0), (1, 2999), (2, 1500)])
def test_a_process_killed_while_it_reads_rows_has_applied_none(
    path: Path, held: int, line: int
) -> None:
    """However many rows had been put, the push before is what is held."""
    with closing(PatronCacheWriter(path, STORE_SEAL)) as writer:
        for epoch in range(1, held + 1):
            apply(writer, stage(push_of(epoch).data()))

    pid, said = _applying(path, str(line))
    said.close()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    assert _held_whole(path) == held
