"""A visit: the relay goes on only after an attempt that is on record, or an alarm says why not."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from doorctl.access.messages import Concluded
from doorctl.access.patron import Reason
from doorctl.core.errors import DoorctlError
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.doord.ledger import Ledger
from doorctl.doord.stores import SteadyVisitLog
from doorctl.store.branch import BranchRecords
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.keys import read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.sealer import ArgonSealer
from doorctl.store.visits import RetriedVisits
from tests.fakes.clock import FakeClock
from tests.faults.branches import CARD, Branch, was_killed
from tests.faults.commands import Command
from tests.faults.tracing import Ran, python

# One visit, from the swipe to the relay and on record after it, without the door's threads.
#
# Its words are the directory and maybe a flaw; it says each thing that it has done.

ON_RECORD, RELAY_ON, SETTLED, ALARM = "on record", "relay on", "settled", "alarm"

RELAY_FIRST = "relay first"
"""A flaw: the relay goes on before the attempt is on record."""

ALREADY = 14
"""Attempts that are in the door log before."""


class SaidAlarms:
    """An `EventLog` that says which alarm there is."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Say it."""
        if event == "alarm":
            say(f"{ALARM} {fields['kind']}")


def say(what: str) -> None:
    """Write a line, also where no `write` gets through."""
    os.writev(sys.stdout.fileno(), [f"{what}\n".encode()])


def visit(directory: Path, flaw: str = "") -> None:
    """Let the one patron in.

    `flaw`: the one above, or nothing.

    Raises:
        DoorctlError: nobody can be let in.
    """
    sealer = ArgonSealer(read_key(directory / "installation.key"), 8, 1)
    clock = FakeClock()
    path = directory / "visits.db"
    set_aside_if_damaged(path, clock.moment().local)
    with ExitStack() as stack:
        visits = stack.enter_context(closing(RetriedVisits(path)))
        patrons = stack.enter_context(closing(PatronCache(directory / "patrons.db", sealer.seal)))
        branch = stack.enter_context(closing(BranchRecords(directory / "branch.db")))
        steady = SteadyVisitLog(visits, SaidAlarms())
        steady.last_attempt()
        ledger = Ledger(
            sealer=sealer,
            patrons=patrons,
            visits=steady,
            clock=clock,
            log=SaidAlarms(),
            counts_guesses=True,
            branch=branch,
        )
        if flaw == RELAY_FIRST:
            say(RELAY_ON)
        prepared = ledger.prepare(ALREADY + 1, (Identifier(IdentifierKind.CARD, CARD),))
        say(ON_RECORD)
        if ledger.look_again(prepared).patron is not None and flaw != RELAY_FIRST:
            say(RELAY_ON)
        ledger.settle(Concluded(ALREADY + 1, Reason.OK, proved=True), "self_service")
        say(SETTLED)


def swiping() -> int:
    """Do it; the exit code is 1 if nobody can be let in."""
    try:
        visit(Path(sys.argv[1]), "".join(sys.argv[2:]))
    except (DoorctlError, OSError) as error:
        os.writev(sys.stderr.fileno(), [f"doorctl: {error}\n".encode()])
        return 1
    return 0


_ATTEMPT = f"SELECT verdict FROM attempts WHERE attempt > {ALREADY}"  # noqa: S608 -- a number
_GUESSES = "SELECT count(*) FROM throttles"


def swipe(flaw: str = "") -> Command:
    """Return a scenario: one patron comes, is let in and goes on record.

    `flaw`: of the driver.
    """

    def words(_branch: Branch, directory: Path) -> list[str]:
        return python(swiping, directory, flaw)

    return Command("a swipe, from the card to the record", words, _log_wrong, files=())


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
