"""What must stand nowhere after an evening of questions to the library system."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.door import until
from tests.e2e.library import (
    BRIEF_S,
    PASSWORD,
    AskingBranch,
    Fbs,
    Made,
    fbs,
    making_branches,
    unlearnt,
)
from tests.e2e.people import Person


@pytest.fixture
def branches(tmp_path: Path, loaded: Loaded) -> Iterator[Made]:
    """Make a branch in `tmp_path` that ends with the test."""
    with making_branches(tmp_path, loaded.pins) as made:
        yield made


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Fbs]:
    """FBS, that is given little time."""
    with fbs(tmp_path, BRIEF_S) as peer:
        yield peer


LONG_NEW = Person("3000001234", "57309182")
LONG_UNLEARNT = Person("0101701234", "48192037", kind="CPR")
LONG_KNOWN = Person("3000001250", "90517264")
LONG_STRANGER = Person("3000009919", "66419028")
LONG_HUNG = Person("3000009920", "77315094")
WRONG = "13579246"


def test_nothing_is_written_down_of_who_was_asked_about(
    silent: Fbs, tmp_path: Path, branches: Made
) -> None:
    """After such an evening no file, no log, no command line and no environment holds a secret.

    Rows kept and learnt, a no, a rest, a hanging library system, one that echoes the question,
    a web process that is killed meanwhile.
    """
    for person in (LONG_NEW, LONG_UNLEARNT):
        silent.know(person)
    branch = branches(*silent.settings, "policy.pin_length=8")
    branch.load(LONG_KNOWN.feed_row(1), unlearnt(LONG_UNLEARNT, 2))
    branch.start()
    branch.door.start()
    branch.door.let_in(LONG_NEW)
    branch.await_kept("asked")
    branch.door.let_in(LONG_UNLEARNT)
    branch.await_kept("learnt")
    for _ in range(2):
        branch.refused(LONG_UNLEARNT, WRONG)
    echo = {"message": f"{LONG_STRANGER.number} {LONG_STRANGER.pin} {PASSWORD}"}
    silent.script.replies["v9"] = (500, echo)
    branch.refused(LONG_STRANGER)
    silent.script.raw["v9"] = silent.hang
    asked = silent.asked()
    branch.begin(LONG_HUNG)
    until(lambda: silent.asked() > asked)
    seen = process_files(branch)
    branch.end(signal.SIGKILL)
    branch.start()
    branch.door.let_in(LONG_KNOWN)
    seen |= process_files(branch)
    branch.end()
    branch.door.stop()

    people = (LONG_NEW, LONG_UNLEARNT, LONG_KNOWN, LONG_STRANGER, LONG_HUNG)
    secrets = {f"number {place}": one.number.encode() for place, one in enumerate(people)}
    secrets |= {f"PIN {place}": one.pin.encode() for place, one in enumerate(people)}
    secrets |= {"wrong PIN": WRONG.encode(), "password": PASSWORD.encode()}
    secrets["hyphened"] = f"{LONG_UNLEARNT.number[:6]}-{LONG_UNLEARNT.number[6:]}".encode()
    written = {
        path.name: path.read_bytes()
        for path in tmp_path.iterdir()
        if path.is_file() and path.name != "lms.password"
    }
    assert {"patrons.db", "visits.db", "door.stderr", "web.stderr"} <= written.keys()
    written["logs"] = repr((branch.lines, branch.door.lines)).encode()
    found = [
        (name, where)
        for name, secret in secrets.items()
        for where, content in (written | seen).items()
        if secret in content
    ]
    assert found == []


def process_files(branch: AskingBranch) -> dict[str, bytes]:
    """Return what everybody may read of both processes, and what stands on the disk meanwhile."""
    pids = {"door": branch.door.pid, "web": branch.web_pid}
    seen = {
        f"{name} {file} {pid}": Path(f"/proc/{pid}/{file}").read_bytes()
        for name, pid in pids.items()
        for file in ("cmdline", "environ")
    }
    assert all(seen.values())
    for path in branch.directory.glob("*.db-wal"):
        seen[f"{path.name} {branch.web_pid}"] = path.read_bytes()
    return seen
