"""The web process is stopped or killed in the middle of a push, and started again.

Bug (attack review): a push that was applied during a stop, or before a kill, was never on the audit
log.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from doorctl.web.serving import STOP_LIMIT_S
from tests.web.branch import Branch, answer_of, row, rows


@pytest.fixture
def branch(branch: Branch) -> Branch:
    """A branch that holds 100 patrons."""
    branch.fill()
    return branch


def epochs(branch: Branch) -> set[tuple[int, int]]:
    """Return which epoch each row is of, with their number, as they stand on the disk."""
    with closing(sqlite3.connect(branch.directory / "patrons.db")) as connection:
        counts = "SELECT epoch, count(*) FROM patrons GROUP BY epoch"
        return set(connection.execute(counts).fetchall())


def test_stopping_is_clean(branch: Branch) -> None:
    """SIGTERM ends an idle process with 0; SIGINT too."""
    assert branch.end(signal.SIGTERM) == 0

    branch.start()

    assert branch.end(signal.SIGINT) == 0
    assert branch.errors() == ""


def test_a_push_that_is_still_coming_in_is_given_up(branch: Branch) -> None:
    """SIGTERM ends the process with 0 though a sender hangs, and nothing has changed."""
    connection = branch.hanging(branch.document(rows(200), 2), 5000)
    time.sleep(0.2)  # It has to be there first.

    assert branch.end(signal.SIGTERM) == 0
    assert b" 503 " in answer_of(connection)
    assert branch.lines[-1]["result"] == "stopping"
    assert "Traceback" not in branch.errors()
    assert epochs(branch) == {(1, 100)}


@pytest.mark.parametrize(
    ("number", "after_s"),
    [(signal.SIGTERM, 0.0), (signal.SIGTERM, 0.1), (signal.SIGKILL, 0.05), (signal.SIGKILL, 0.1)],
)
def test_killed_round_the_commit(branch: Branch, number: int, after_s: float) -> None:
    """All of a push is there or none of it; what was answered with 200 is there."""
    document = branch.document(rows(5000), 2)
    connection = branch.hanging(document, len(document))
    time.sleep(after_s)
    branch.end(number)
    answered = b" 200 " in answer_of(connection)

    assert epochs(branch) in ([{(2, 5000)}] if answered else [{(2, 5000)}, {(1, 100)}])
    branch.start()
    epoch = branch.held()["epoch"] + 1
    changes = branch.document([row(9999)], epoch, kind="changes")
    assert branch.push(changes, kind="changes").status_code == 200


@contextmanager
def locked(branch: Branch, name: str) -> Iterator[None]:
    """Keep everybody else from writing a database."""
    with closing(sqlite3.connect(branch.directory / name, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def noted(branch: Branch) -> list[tuple[str, str, int]]:
    """Return the pushes on the audit log: by whom, what and of which number."""
    done = branch.stage.call("audit", "list", "--json")
    found = [one for one in json.loads(done.stdout) if one["action"].startswith("push_")]
    return [(one["by"], one["action"], one["details"]["epoch"]) for one in found]


BOTH = [("sync", "push_applied", 2), ("Karen", "push_approved", 2)]


@pytest.mark.parametrize("sent_again", [True, False])
def test_killed_between_the_commit_and_the_audit_log(branch: Branch, sent_again: bool) -> None:
    """What was committed is noted by the next process, sent again or not, and its alarm told."""
    document = branch.document(rows(10), 2, approved_by="Karen")
    with locked(branch, "branch.db"):
        connection = branch.hanging(document, len(document))
        while epochs(branch) != {(2, 10)}:
            time.sleep(0.01)
        branch.end(signal.SIGKILL)
    assert answer_of(connection) == b""
    assert noted(branch)[2:] == []

    branch.start()

    assert noted(branch)[-2:] == BOTH
    assert "push_approved" in {line.get("kind") for line in branch.lines}
    if sent_again:
        assert branch.push(document).json()["unchanged"]
    assert noted(branch)[-2:] == BOTH
    assert noted(branch).count(BOTH[0]) == 1
    assert "Karen" not in str(branch.lines)


def test_stopped_while_a_push_is_committed(branch: Branch) -> None:
    """SIGTERM does not wait for the answer, but what is committed all the same is noted."""
    document = branch.document(rows(10), 2, approved_by="Karen")
    with locked(branch, "patrons.db"):
        connection = branch.hanging(document, len(document))
        time.sleep(0.3)  # It has to wait for the lock.
        branch.send(signal.SIGTERM)
        time.sleep(STOP_LIMIT_S + 0.5)  # By then nobody waits for the answer any more.
    code = branch.end(signal.SIGTERM)
    answer_of(connection)

    assert code == 0
    assert epochs(branch) == {(2, 10)}
    assert noted(branch)[-2:] == BOTH


def test_what_the_audit_log_did_not_take_is_noted_with_the_next_push(branch: Branch) -> None:
    """Pushes come in though it fails, and none of them stays off it."""
    with closing(sqlite3.connect(branch.directory / "branch.db")) as file:
        file.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON audit "
            "BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        )
        for epoch in (2, 3):
            document = branch.document(rows(100), epoch, approved_by="Karen")
            assert branch.push(document).status_code == 200
        branch.wait_for("alarm", kind="branch_failing")
        file.execute("DROP TRIGGER fails")

    assert branch.push(branch.document(rows(100), 4)).status_code == 200

    assert [(action, epoch) for _, action, epoch in noted(branch)[2:]] == [
        ("push_applied", 2),
        ("push_approved", 2),
        ("push_applied", 3),
        ("push_approved", 3),
        ("push_applied", 4),
    ]
    told = [line for line in branch.lines if line.get("kind") == "push_approved"]
    assert len(told) == 3
    assert "pushes-to-note.json" not in branch.files()


def test_a_lost_register_is_not_brought_back_by_an_old_push(branch: Branch) -> None:
    """Whoever kept one can't send it again; the sender hears from which number on to send all.

    Bug (attack review): after the register was lost an old push was taken again.
    """
    old = branch.document(rows(120), 2, approved_by="Karen")
    changes = branch.document([row(200)], 6, kind="changes", previous_epoch=5)
    assert branch.push(old).status_code == 200
    assert branch.push(branch.document(rows(100), 5, approved_by="Karen")).status_code == 200
    branch.end()
    for file in branch.directory.glob("patrons.db*"):
        file.unlink()
    branch.start()

    assert (branch.held()["epoch"], branch.held()["digest"]) == (5, "")
    refused = branch.push(old)
    assert (refused.status_code, refused.json()["error"]) == (409, "out_of_order")
    assert "send a snapshot with a number above 5" in refused.json()["why"]
    assert branch.push(changes, kind="changes").status_code == 409
    assert branch.held()["patrons"] == 0
    assert branch.push(branch.document(rows(100), 6)).status_code == 200
    assert branch.held()["epoch"] == 6
