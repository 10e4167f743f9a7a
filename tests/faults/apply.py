"""The apply of a push: before it or after it, whole, and after it once it was acknowledged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from doorctl.access.patron import SealedRow
from doorctl.core.errors import DoorctlError
from doorctl.store.patrons_writer import create_patrons
from doorctl.sync.document import Kind
from doorctl.sync.rows import Line, Removal
from tests.faults.applying import ACKNOWLEDGED, STORE_SEAL, take_in
from tests.faults.tracing import Ran, python
from tests.sync.pushes import Document, row

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
        flaw: of the driver; see :mod:`tests.faults.applying`.
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
        create_patrons(before / "patrons.db", STORE_SEAL)
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
        return python("tests.faults.applying", directory, self._document, self.flaw)

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
