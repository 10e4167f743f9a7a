"""The web process is stopped or killed in the middle of a push, and started again."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.web.branch import Branch, answer_of, row, rows


@pytest.fixture
def branch(branches: Callable[..., Branch]) -> Branch:
    """A branch that holds 100 patrons."""
    branch = branches()
    branch.start()
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


def test_killed_in_the_middle_of_a_body(branch: Branch) -> None:
    """The old push is held by the next process, nothing is left lying about, and it takes more."""
    files = branch.files()
    document = branch.document(rows(5000), 2)
    with closing(branch.hanging(document, len(document) // 2)):
        time.sleep(0.1)  # Some of it has to be staged.
        branch.end(signal.SIGKILL)

    branch.start()

    assert branch.files() == files
    assert branch.held()["epoch"] == 1
    assert branch.push(document).json()["applied"] == 5000


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
