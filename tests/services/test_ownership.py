"""Bugs that were found.

Bug (CI): a purge that ended while a load was noted on the audit log was told that it is not on
record.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import NotAnsweringError, NotRunningError, StoreBusyError
from doorctl.services.app import by_the_owner
from doorctl.store.connection import WriterLock

HELD_S = 0.3


class Absent:
    """An owner that is not running, until it has been asked so many times.

    `times`: how often nobody answers; the time after, somebody does.
    """

    def __init__(
        self, times: int = 1_000_000, error: type[NotAnsweringError] = NotRunningError
    ) -> None:
        self._times = times
        self._error = error

    def __call__(self) -> str:
        """Ask it."""
        self._times -= 1
        if self._times >= 0:
            raise self._error("nobody there")
        return "asked"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where a database would be."""
    return tmp_path / "some.db"


def alone(database: Path) -> str:
    """Be the writer for a moment."""
    with closing(WriterLock(database)):
        return "alone"


def test_another_command_is_waited_for(database: Path) -> None:
    """A command that writes just now costs the next one a moment, never its deed."""
    other = WriterLock(database)
    timer = threading.Timer(HELD_S, other.close)
    timer.start()

    assert by_the_owner(Absent(), lambda: alone(database), limit_s=30) == "alone"

    timer.join()


def test_whoever_stays_the_writer_is_not(database: Path) -> None:
    """A lock that nobody lets go of refuses in the end, with the lock's own line."""
    with WriterLock(database), pytest.raises(StoreBusyError, match="another doorctl process"):
        by_the_owner(Absent(), lambda: alone(database), limit_s=HELD_S)


def test_an_owner_that_starts_meanwhile_is_asked(database: Path) -> None:
    """Not its lock waited for: it holds that as long as it runs."""
    with WriterLock(database):
        assert by_the_owner(Absent(2), lambda: alone(database), limit_s=30) == "asked"


def test_an_owner_that_may_have_done_it_is_no_reason(database: Path) -> None:
    """Where only one that was not asked counts as absent, nothing is done twice."""
    asked = Absent(error=NotAnsweringError)

    with pytest.raises(NotAnsweringError):
        by_the_owner(asked, lambda: alone(database), absent=NotRunningError)
