"""A branch's evenings on a disk: swipes, pushes, purges, bans and hours, by the real stores.

``python -m tests.powercut.workload DIRECTORY ROUNDS [PRAGMA]`` is what runs in the guest; it marks
the disk's log at each change that was acknowledged.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

from doorctl.access.calendar import ALL_DAY, DaySource, Mode, StoredDay
from doorctl.access.day import Override
from doorctl.access.messages import Concluded
from doorctl.access.patron import Reason
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey
from doorctl.doord.ledger import Ledger
from doorctl.privacy.purge_proof import Canaries
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.sealer import ArgonSealer
from doorctl.store.visit_purge import purge
from doorctl.store.visits import VisitStore, create_visits
from doorctl.sync.document import Kind
from doorctl.sync.wire import Line, Removal
from doorctl.web.reception import Reception
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.faults.apply import rows, take_in_by
from tests.sync.pushes import SEAL, USUAL_TERMS, Document

# Marks in the disk's log, by the kernel's own interface: a process for each would take seconds.
#
# The structures are those of ``include/uapi/linux/dm-ioctl.h``.

CONTROL = "/dev/mapper/control"

_IOCTL = struct.Struct("=III II Ii III Q 128s 129s 7x")
"""Version, sizes, counts, flags, device, name, uuid."""

_SECTOR = struct.Struct("=Q")
_READ_WRITE, _DEVICE_MAPPER, _TARGET_MESSAGE = 3, 0xFD, 14
_COMMAND = _READ_WRITE << 30 | _IOCTL.size << 16 | _DEVICE_MAPPER << 8 | _TARGET_MESSAGE
_VERSION = (4, 0, 0)


class Marks:
    """Number the marks from 1 and put each into the log, behind all that was flushed before.

    `device`: its name in the device mapper.
    """

    def __init__(self, device: str) -> None:
        self._device = device.encode()
        self._control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        self._count = 0

    def add(self) -> None:
        """Put the next one.

        Raises:
            OSError: the kernel refuses.
        """
        self._count += 1
        body = _SECTOR.pack(0) + b"mark %d\0" % self._count
        size = _IOCTL.size + len(body)
        head = _IOCTL.pack(*_VERSION, size, _IOCTL.size, 0, 0, 0, 0, 0, 0, self._device, b"")
        fcntl.ioctl(self._control, _COMMAND, bytearray(head + body))


FILES = ("visits.db", "patrons.db", "branch.db")

SWIPES = 8
"""Of one evening."""

PATRONS = 150
RETENTION = timedelta(days=2)
"""So that a purge soon has something to delete."""

KEY = InstallationKey(bytes(range(32)))
ENDINGS = (Reason.OK, Reason.WRONG_PIN, Reason.UNKNOWN_CARD, Reason.PIN_TIMEOUT)

Acknowledge = Callable[[], None]
"""Is told after each change that was acknowledged."""

Opened = Callable[[str, sqlite3.Connection], None]
"""Is told the writing connection of each file, by its name, before anything is done with it."""


class Branch:
    """The three files, their writers, and what an evening does with them.

    `directory`: an empty one, on the disk; `stack`: closes all.
    """

    def __init__(
        self, directory: Path, acknowledge: Acknowledge, opened: Opened, stack: ExitStack
    ) -> None:
        self._acknowledge = acknowledge
        self._clock = FakeClock()
        self._epoch = 0
        self._attempt = 0
        self._visits, self._patrons, self._branch = _made(directory, acknowledge, opened, stack)
        lookup = stack.enter_context(closing(PatronCache(self._patrons.path, SEAL)))
        book = stack.enter_context(closing(BranchRecords(self._branch.path)))
        self._reception = Reception(
            USUAL_TERMS, writer=self._patrons, lookup=lookup, clock=self._clock, directory=directory
        )
        self._ledger = Ledger(
            sealer=ArgonSealer(KEY, SEAL.memory_kib, SEAL.iterations),
            patrons=lookup,
            visits=self._visits,
            clock=self._clock,
            log=FakeEventLog(),
            counts_guesses=True,
            branch=book,
        )

    def evening(self, number: int) -> None:
        """Go through one day, from its push to its purge."""
        for change in (self._push, self._swipes, self._staff, self._push, self._swipes):
            change(number)
        self._purge()
        self._clock.advance(24 * 3600)

    def _swipes(self, number: int) -> None:
        for swipe in range(SWIPES):
            self._attempt += 1
            card = Identifier(IdentifierKind.CARD, f"{3_000_000_000 + (number + swipe) % 20}")
            self._ledger.prepare(self._attempt, (card,))
            self._acknowledge()
            self._clock.advance(5)
            reason = ENDINGS[swipe % len(ENDINGS)]
            end = Concluded(self._attempt, reason, proved=reason is Reason.OK)
            self._ledger.settle(end, "self_service")
            self._acknowledge()

    def _push(self, number: int) -> None:
        """Push a snapshot first and each fourth time, else changes."""
        before, self._epoch = self._epoch, self._epoch + 1
        kind: Kind = "snapshot" if before % 4 == 0 else "changes"
        mark = f"push-{self._epoch}-"
        lines: list[Line] = [*rows(range(PATRONS), mark)]
        if kind == "changes":
            first = number * 7 % PATRONS
            lines = [*rows(range(first, first + 20), mark), Removal(str((first + 30) % PATRONS))]
        document = Document(lines, kind, epoch=self._epoch, previous_epoch=before)
        take_in_by(self._reception, document.data(), kind)
        self._acknowledge()

    def _staff(self, number: int) -> None:
        for change in self._changes(number):
            change()
            self._acknowledge()

    def _changes(self, number: int) -> Iterator[Callable[[], object]]:
        writer, moment = self._branch, self._clock.moment()
        today = moment.local.date()
        ban = Ban(
            number=0,
            reason="an invented one",
            since=moment.local,
            until=moment.local + timedelta(days=1 + number % 3),
            by="staff-7",
            branches=frozenset({"oest"}),
        )
        key = number.to_bytes(16, "big")
        yield lambda: writer.ban(ban, moment, row_key=key, patron_ref=str(number))
        day = timedelta(days=1)
        held = Pass(0, PassKind.ASSOCIATION, today, today + day, label="an invented one")
        yield lambda: writer.issue(held, moment, row_key=key)
        days = [
            StoredDay(today + timedelta(days=ahead), ALL_DAY, f"{number}") for ahead in range(5)
        ]
        yield lambda: writer.set_days(DaySource.STAFF, days, moment, known_until=None)
        override = Override(
            Mode.CLOSED, moment.local + timedelta(hours=1), "an invented one", "staff-7"
        )
        yield lambda: writer.set_override(override, moment)
        yield lambda: writer.set_days(DaySource.HOLIDAY, (), moment, known_until=None)
        if number % 2:
            yield lambda: writer.lift(number + 1, moment)

    def _purge(self) -> None:
        clock = self._clock
        moment, boot = clock.moment(), clock.boot_time()
        report = purge(self._visits, moment, boot, RETENTION, canaries=Canaries(KEY))
        assert report.complete
        self._acknowledge()


def _made(
    directory: Path, acknowledge: Acknowledge, opened: Opened, stack: ExitStack
) -> tuple[VisitStore, PatronCacheWriter, BranchRecordsWriter]:
    paths = [directory / name for name in FILES]
    create_visits(paths[0])
    acknowledge()
    create_patrons(paths[1], SEAL)
    acknowledge()
    create_branch(paths[2])
    acknowledge()
    made = (
        stack.enter_context(closing(VisitStore(paths[0]))),
        stack.enter_context(closing(PatronCacheWriter(paths[1], SEAL))),
        stack.enter_context(closing(BranchRecordsWriter(paths[2]))),
    )
    for each in made:
        opened(each.path.name, each.database)
    return made


def work(
    directory: Path,
    rounds: int,
    acknowledge: Acknowledge,
    opened: Opened = lambda _name, _database: None,
) -> None:
    """Make a branch and go through so many evenings.

    `directory`: an empty one.
    """
    with ExitStack() as stack:
        branch = Branch(directory, acknowledge, opened, stack)
        for number in range(rounds):
            branch.evening(number)


def main() -> None:
    """Do the work on the disk and mark its log."""
    directory, rounds = Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir()
    marks = Marks(sys.argv[3]) if sys.argv[3:] else None

    def flawed(_name: str, database: sqlite3.Connection) -> None:
        for pragma in sys.argv[4:]:
            database.execute(f"PRAGMA {pragma}")

    work(directory, rounds, marks.add if marks else lambda: None, flawed)


if __name__ == "__main__":
    main()
