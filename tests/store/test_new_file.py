from __future__ import annotations

import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import StoreBusyError
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.connection import create_private


def test_what_can_not_be_written_leaves_no_file(tmp_path: Path) -> None:
    """Half a key would be refused as a key and kept by the next init."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            create_private(tmp_path / "installation.key", bytes(32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from doorctl.store.branch import migrations
from doorctl.store.connection import create_file

@migrations()
def stand_still(database):
    print("half", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

create_file(Path(sys.argv[1]), migrations)
"""


def test_a_file_that_is_being_made_is_not_there_yet(tmp_path: Path) -> None:
    """Half-made by a process that stands still: nobody is banned, as before; nothing is lost.

    A second process does not make it meanwhile, and once the first was killed nothing of it counts.

    Bug (operations review): a door that looked while `branch.db` was being made refused an
    entitled patron; who was killed then left half a file that counted.
    """
    path = tmp_path / "branch.db"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            assert not path.exists()
            with closing(BranchRecords(path)) as book:
                assert book.bans(bytes(16), None) == ()
                book.version()
            with pytest.raises(StoreBusyError, match="is making"):
                open_or_create_branch(path)
        finally:
            process.kill()

    assert not path.exists()
    with closing(open_or_create_branch(path)) as writer, closing(BranchRecords(path)) as book:
        assert book.bans(bytes(16), None) == ()
        assert writer.database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert {file.name for file in tmp_path.iterdir()} <= {"branch.db", "branch.db.lock"}


def test_a_key_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Also where only a link stands, and where somebody was killed while making one."""
    path = tmp_path / "installation.key"
    path.symlink_to(tmp_path / "nowhere")
    path.with_name("installation.key.new").write_bytes(b"half a key of somebody who was killed")
    with pytest.raises(FileExistsError):
        create_private(path, bytes(32))
    path.unlink()

    create_private(path, bytes(32))

    assert path.read_bytes() == bytes(32)
    assert list(tmp_path.iterdir()) == [path]
