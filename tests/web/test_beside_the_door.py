"""A real door and a real web process on the same storage."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from doorctl.access.patron import SealedRow
from doorctl.sync.rows import Line, Removal
from tests.e2e.door import Staged
from tests.fakes.cards import plastic, sealed
from tests.web.branch import LIMIT_S, Branch, row

CARD = "3000001234"
PIN = "4711"

FOREIGN = ("starlette", "uvicorn", "h11", "nacl", "httpx2")


@pytest.fixture
def branch(branch: Branch) -> Iterator[Branch]:
    """A branch whose web process runs and holds one patron; its door has not been started."""
    with branch.stage:
        assert branch.push(branch.document([patron(branch), row(2)], 1)).status_code == 200
        yield branch


def test_a_probe_sees_whether_the_door_decides(branch: Branch) -> None:
    """Web serves either way; the door's end, a stop in its tracks and its return show."""

    def probed() -> tuple[int, int]:
        both = [branch.ask("GET", path) for path in ("/healthz", "/readyz")]
        assert {answer.headers["content-type"] for answer in both} == {"text/plain; charset=utf-8"}
        assert str(branch.directory) not in both[1].text
        return both[0].status_code, both[1].status_code

    assert probed() == (200, 503)
    branch.stage.start()
    assert probed() == (200, 200)
    assert branch.stage.pid is not None
    os.kill(branch.stage.pid, signal.SIGSTOP)
    try:
        assert probed() == (200, 503)
    finally:
        os.kill(branch.stage.pid, signal.SIGCONT)


def patron(branch: Branch) -> SealedRow:
    """Return the row of the card, as the library's server seals it."""
    return sealed(branch.sealer, plastic(CARD), row(1).patron, PIN)


def blocked(branch: Branch) -> SealedRow:
    """Return the same row with a stolen card's block."""
    entitled = patron(branch)
    return replace(entitled, patron=replace(entitled.patron, blocks=frozenset({"O"})))


def decided(branch: Branch) -> object:
    """Swipe the card, type its PIN, and return the reason of the door's decision."""
    branch.stage.reader.send(f"{CARD}\r".encode())
    attempt = branch.stage.wait_for_attempt(timeout_s=LIMIT_S)
    for key in PIN:
        branch.stage.keypad.send(key.encode())
    return branch.stage.wait_for("decision", attempt=attempt, timeout_s=LIMIT_S)["reason"]


def changed(branch: Branch, epoch: int, *lines: Line) -> None:
    """Push changes, and have them applied."""
    document = branch.document(lines, epoch, kind="changes")
    assert branch.push(document, kind="changes").status_code == 200


def test_a_patron_who_was_pushed_comes_in_and_a_removed_one_does_not(branch: Branch) -> None:
    """The door uses a push from the next swipe on, without being told."""
    branch.stage.start()
    assert decided(branch) == "ok"
    branch.stage.wait_for("door", state="locked", timeout_s=LIMIT_S)

    changed(branch, 2, Removal("1001"))

    assert decided(branch) == "unknown_card"

    changed(branch, 3, patron(branch))

    assert decided(branch) == "ok"


def test_the_door_goes_on_deciding_without_it(branch: Branch) -> None:
    """Killed in the middle of a push, the web process takes nothing of the door with it."""
    branch.stage.start()
    with closing(branch.hanging(branch.document([blocked(branch)], 2), 300)):
        branch.end(signal.SIGKILL)

    assert decided(branch) == "ok"


def test_the_door_loads_nothing_of_the_web_process(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at its start nor for a decision does the door load a server or a signature."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    monkeypatch.setattr(Staged, "forked", False)
    branch.stage.start()
    assert decided(branch) == "ok"
    branch.stage.stop()

    profile = (branch.directory / "door.stderr").read_text(encoding="utf-8")
    modules = [line.rpartition("|")[2].strip() for line in profile.splitlines()]
    assert "doorctl.doord.controller" in modules
    assert [name for name in modules if name.partition(".")[0] in FOREIGN] == []
    assert [name for name in modules if name.startswith("doorctl.web")] == []
