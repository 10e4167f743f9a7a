"""The apply of a push: before it or after it, whole, and after it once it was acknowledged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from doorctl.access.patron import Applied, SealedRow
from doorctl.core.errors import DoorctlError
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons, open_or_create_patrons
from doorctl.sync.document import Kind
from doorctl.sync.guard import Guard
from doorctl.sync.wire import Line, Removal
from doorctl.web.reception import Reception
from tests.fakes.clock import FakeClock
from tests.faults.tracing import Ran, python
from tests.sync.pushes import SEAL, USUAL_TERMS, Document, fed, row

# A process that takes in one push as the web process does, says so, and ends.
#
# Its words are the directory, the document and maybe a flaw; a flaw makes it do so wrongly.

CHUNK_BYTES = 16 * 1024
"""About what arrives at once from a network."""

ACKNOWLEDGED = "acknowledged"
TORN, HASTY = "torn", "hasty"
"""Flaws: a push that is committed in two parts; one that is acknowledged before its commit."""


class TornWriter(PatronCacheWriter):
    """Commits the first half of a snapshot for itself."""

    def apply(self, rows: Iterable[SealedRow], *, guard: Guard, **terms: Any) -> Applied:
        """Apply rows wrongly."""
        remaining = iter(rows)
        half = list(islice(remaining, 50))
        terms |= {"guard": guard}
        super().apply(half, **(terms | {"full": False, "push": None}))
        return super().apply(chain(half, remaining), **terms)


def take_in(
    directory: Path,
    document: bytes,
    kind: Kind,
    flaw: str = "",
    acknowledge: Callable[[], None] = lambda: None,
) -> None:
    """Take a push in from its first byte to the commit.

    `flaw`: one of those above, or nothing; `acknowledge`: is called once it is committed, while the
    cache is still open.

    Raises:
        DoorctlError: it is refused, or the disk fails.
    """
    path = directory / "patrons.db"
    opened = TornWriter(path, SEAL) if flaw == TORN else None
    with (
        closing(opened or open_or_create_patrons(path, SEAL)) as writer,
        closing(PatronCache(path, SEAL)) as lookup,
    ):
        reception = Reception(
            USUAL_TERMS, writer=writer, lookup=lookup, clock=FakeClock(), directory=directory
        )
        hasty = acknowledge if flaw == HASTY else lambda: None
        take_in_by(reception, document, kind, hasty)
        acknowledge()


def take_in_by(
    reception: Reception, document: bytes, kind: Kind, hasty: Callable[[], None] = lambda: None
) -> None:
    """Take a push in from its first byte to the commit, by what is open already.

    Args:
        reception: takes it.
        document: the push.
        kind: what it is sent as.
        hasty: is called before the commit; only a flawed driver does anything then.

    Raises:
        DoorctlError: it is refused, or the disk fails.
    """
    with closing(reception.staging()) as staging:
        fed(staging, document, CHUNK_BYTES)
        hasty()
        reception.settle(staging.finish(), kind)


def _acknowledge() -> None:
    # Not `write`: when no write gets through any more, this one still has to.
    os.writev(sys.stdout.fileno(), [f"{ACKNOWLEDGED}\n".encode()])


def applying() -> int:
    """Take one push in; the exit code is 1 if that fails."""
    directory, document, flaw = Path(sys.argv[1]), Path(sys.argv[2]), "".join(sys.argv[3:])
    kind: Kind = "snapshot" if document.name.startswith("snapshot") else "changes"
    try:
        take_in(directory, document.read_bytes(), kind, flaw, _acknowledge)
    except (DoorctlError, OSError) as error:
        os.writev(sys.stderr.fileno(), [f"{error}\n".encode()])
        return 1
    return 0


HELD = 1
PUSHED = 3
"""Numbers of the two pushes; the flawed driver needs one between them."""

SOME, MANY = 400, 800
"""Rows of a small snapshot and of a large one."""

MANY_TAGS = 40
"""With so many a row has 2 KiB: a large snapshot does not fit into SQLite's page cache of 2 MB,
so that it is written long before the commit."""

MOST_OF_MANY = 600
"""Points that are run of a large snapshot; all of them would take hours."""


def rows(numbers: range, mark: str, tags: int = 1) -> list[SealedRow]:
    """Return invented rows; each says by its tags which push it is of."""
    marks = frozenset(f"{mark:*<64}"[: 64 - number] for number in range(tags))
    return [replace(each, patron=replace(each.patron, tags=marks)) for each in map(row, numbers)]


@dataclass
class Apply:
    """A `Scenario`: one document is taken in over what is held.

    Args:
        name: for people.
        kind: of the document.
        held: what is held before.
        pushed: the document's rows.
        most: points that even a full run has; None for all.
        flaw: of the driver.
    """

    name: str
    kind: Kind
    held: Sequence[SealedRow]
    pushed: Sequence[Line]
    most: int | None = None
    flaw: str = ""
    files: tuple[str, ...] = field(default=(), init=False)
    _work: Path = field(default=Path(), init=False)
    _states: dict[int, str] = field(default_factory=dict, init=False)

    def prepare(self, work: Path) -> None:
        """Write the document; make the state before and keep how both states look."""
        self._work = work
        before, after = work / "before", work / "after"
        before.mkdir()
        create_patrons(before / "patrons.db", SEAL)
        take_in(before, Document(self.held, epoch=HELD).data(), "snapshot")
        self._document.write_bytes(
            Document(self.pushed, self.kind, epoch=PUSHED, previous_epoch=HELD).data()
        )
        shutil.copytree(before, after)
        take_in(after, self._document.read_bytes(), self.kind)
        self._states = {HELD: dump(before), PUSHED: dump(after)}

    def lay_out(self, directory: Path) -> None:
        """Copy the state before."""
        shutil.copytree(self._work / "before", directory)

    def command(self, directory: Path) -> list[str]:
        """Return the driver's command."""
        return python(applying, directory, self._document, self.flaw)

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Say what is wrong with the cache; then the sender tries again, as it does in life."""
        try:
            return [
                *self._judge_state(dump(directory), acknowledged=ACKNOWLEDGED in ran.said),
                *self._judge_next(directory),
            ]
        except (sqlite3.Error, RuntimeError, DoorctlError) as error:
            return [f"can't be used again: {error}"]

    def _judge_state(self, found: str, *, acknowledged: bool) -> list[str]:
        if found not in self._states.values():
            return ["neither the push before nor this one is whole"]
        if acknowledged and found != self._states[PUSHED]:
            return ["acknowledged, but not held"]
        return []

    def _judge_next(self, directory: Path) -> list[str]:
        take_in(directory, self._document.read_bytes(), self.kind)
        if dump(directory) != self._states[PUSHED]:
            return ["sent again, it is not taken in whole"]
        left = {path.name for path in directory.iterdir()} - {
            path.name for path in (self._work / "after").iterdir()
        }
        return [f"left behind: {sorted(left)}"] if left else []

    @property
    def _document(self) -> Path:
        return self._work / self.kind


def dump(directory: Path) -> str:
    """Return all that the cache holds, after SQLite's own check of the file.

    Raises:
        RuntimeError: SQLite finds it damaged.
        sqlite3.Error: it can't be read.
    """
    with closing(sqlite3.connect(directory / "patrons.db")) as database:
        found = database.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise RuntimeError(f"integrity_check: {found}")
        tables = ("cache", "patrons")
        return repr([database.execute(f"SELECT * FROM {table}").fetchall() for table in tables])  # noqa: S608 -- names only


def scenarios() -> list[Apply]:
    """Return a snapshot, changes, and a snapshot that is larger than SQLite's page cache."""
    changes: list[Line] = [*rows(range(SOME - 40, SOME + 40), "new")]
    changes += [Removal(str(number)) for number in range(40)]
    return [
        Apply(
            f"a snapshot of {SOME:,} rows applied",
            "snapshot",
            rows(range(SOME), "old"),
            rows(range(50, SOME + 50), "new"),
        ),
        Apply(
            f"changes of {len(changes)} lines applied", "changes", rows(range(SOME), "old"), changes
        ),
        Apply(
            f"a snapshot of {MANY:,} rows applied",
            "snapshot",
            rows(range(MANY), "old", MANY_TAGS),
            rows(range(50, MANY + 50), "new", MANY_TAGS),
            MOST_OF_MANY,
        ),
    ]
