from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.door import Door, refusal
from tests.e2e.people import ENTITLED


def test_makes_what_is_needed(bare: Door) -> None:
    """After `init` alone the daemon starts and refuses everybody."""
    assert bare.call("init").returncode == 0
    bare.start()

    assert bare.visit(ENTITLED)["reason"] == "unknown_card"


def test_files_are_private(door: Door) -> None:
    """Nobody but doorctl's own user can read what it makes, the control socket included.

    `check.sock` is for all: it answers how the door is and nothing else.
    """
    door.start()
    door.visit(ENTITLED)

    made = [path for path in door.directory.iterdir() if not path.is_symlink()]
    readable = {path.name for path in made if path.stat().st_mode & 0o077}
    assert {"door.sock", "visits.db", "patrons.db", "installation.key"} <= {p.name for p in made}
    assert readable == {"door.stderr", "check.sock"}  # the first is the test's own file


@pytest.mark.parametrize("there", ["installation.key", "patrons.db", "visits.db", "branch.db"])
def test_overwrites_nothing(there: str, bare: Door) -> None:
    """If a database is there, or a key that is none, it makes no other and touches nothing."""
    (bare.directory / there).write_bytes(b"something")
    before = digest(bare.directory)

    assert there in refusal(bare, "init")

    assert digest(bare.directory) == before


def test_keeps_the_key_of_another_branch(bare: Door, door: Door) -> None:
    """A second branch shares the key, so that the same sealed rows can be found there."""
    key = bare.directory / "installation.key"
    shared = door.directory / "installation.key"
    key.write_bytes(shared.read_bytes())
    key.chmod(0o600)

    done = bare.call("init")

    assert (done.returncode, done.stderr) == (0, "")
    made = [f"made {bare.directory / name}" for name in ("patrons.db", "visits.db", "branch.db")]
    assert done.stdout.splitlines()[:4] == [f"kept {key}", *made]
    assert key.read_bytes() == shared.read_bytes()
    bare.start()
    assert bare.visit(ENTITLED)["reason"] == "unknown_card"


@pytest.mark.parametrize("limit", [0, 32, 8192, 32_000])
def test_can_be_repeated_after_a_failure(bare: Door, limit: int) -> None:
    """On a disk that is full after so many bytes a file nothing is left of what it made."""
    command = ["prlimit", f"--fsize={limit}", *bare.command("init")]
    # Coverage would want to write its own file there, and say on stderr that it can't.
    uncovered = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=uncovered)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    made = [path for path in bare.directory.iterdir() if path.suffix != ".lock"]
    assert made == []

    assert bare.call("init").returncode == 0


def test_no_other_process_reads_bytecode_that_a_full_disk_cut_off(
    bare: Door, tmp_path: Path
) -> None:
    """Python keeps what it wrote in part, and whoever imports that ends by an EOFError.

    Bug (outside look): a process that a test starts on a full disk cut off the bytecode that CI
    shares: by Python 3.11 every later one ends with an EOFError (the harness's own mistake).
    """
    command = ["prlimit", "--fsize=32", *bare.command("init")]
    writing = {key: value for key, value in os.environ.items() if "DONTWRITE" not in key}
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    subprocess.run(command, capture_output=True, check=False, env=writing | bytecode)

    assert not (tmp_path / "bytecode").exists()


def test_a_failure_does_not_look_like_bans_that_were_lost(bare: Door) -> None:
    """Where branch.db is the one that can't be made, not even its lock is left alone."""
    in_the_way = bare.directory / "branch.db-wal"
    in_the_way.mkdir()

    assert "branch.db" in refusal(bare, "init")

    left = {path.name for path in bare.directory.iterdir()}
    assert left == {in_the_way.name}
    in_the_way.rmdir()
    assert bare.call("init").returncode == 0


def digest(directory: Path) -> dict[str, str]:
    """Return the hash of each file, by its name."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
