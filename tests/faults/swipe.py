"""A visit: the relay goes on only after an attempt that is on record, or an alarm says why not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.branches import Branch, damaged, ended_badly, was_killed
from tests.faults.swiping import ALARM, ALREADY, ON_RECORD, RELAY_ON, SETTLED
from tests.faults.tracing import Ran, python

_ATTEMPT = f"SELECT verdict FROM attempts WHERE attempt > {ALREADY}"  # noqa: S608 -- a number
_GUESSES = "SELECT count(*) FROM throttles"


@dataclass
class Swipe:
    """A `Scenario`: one patron comes, is let in and goes on record.

    Args:
        name: for people.
        flaw: of the driver; see :mod:`tests.faults.swiping`.
    """

    name: str = "a swipe, from the card to the record"
    flaw: str = ""
    most: int | None = field(default=None, init=False)
    files: Sequence[str] = field(default=(), init=False)
    _branch: Branch | None = field(default=None, init=False)

    def prepare(self, work: Path) -> None:
        """Make the branch."""
        self._branch = Branch(work)

    def lay_out(self, directory: Path) -> None:
        """Copy it."""
        assert self._branch is not None
        self._branch.lay_out(directory)

    def command(self, directory: Path) -> list[str]:
        """Return the driver's command."""
        return python("tests.faults.swiping", directory, self.flaw)

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Say what is wrong."""
        return [*ended_badly(ran), *damaged(directory), *_log_wrong(directory, ran)]


def _log_wrong(directory: Path, ran: Ran) -> list[str]:
    with closing(sqlite3.connect(directory / "visits.db")) as database:
        attempts = [verdict for (verdict,) in database.execute(_ATTEMPT)]
        (guesses,) = database.execute(_GUESSES).fetchone()
        (others,) = database.execute("SELECT count(*) FROM attempts").fetchone()
    wrong = []
    if others - len(attempts) != ALREADY:
        wrong.append(f"{others} attempts are left")
    if ALARM in ran.said:
        return wrong
    if (ON_RECORD in ran.said or RELAY_ON in ran.said) and not attempts:
        wrong.append("the relay could go on, but no attempt is on record")
    if SETTLED in ran.said and attempts != ["granted"]:
        wrong.append(f"settled, but on record is {attempts}")
    if attempts == [None] and guesses != 1:
        wrong.append("the guess that was cut off costs nothing")
    if SETTLED not in ran.said and not was_killed(ran) and ran.code == 0:
        wrong.append("ended without a word")
    return wrong


def scenarios() -> list[Swipe]:
    """Return the swipe."""
    return [Swipe()]
