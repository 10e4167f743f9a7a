"""The disk under the databases: real SQLite files, and failures on purpose at the calls between.

A power cut leaves the files as the last commits left them: WAL with ``synchronous=FULL`` keeps what
was committed, anything less loses what no checkpoint has taken over. Tearing and dropping single
blocks is what ``tests/powercut`` does.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Applied, SealedRow
from doorctl.core.errors import StoreError
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.visits import RetriedVisits
from doorctl.sync.guard import Changes, Guard

VISITS, PATRONS, BRANCH = "visits.db", "patrons.db", "branch.db"
FILES = (VISITS, PATRONS, BRANCH)
SYNCHRONOUS_FULL = 2

T = TypeVar("T")


class PowerCutError(BaseException):
    """The mains are gone: nothing of the process runs any more."""


@dataclass
class Disk:
    """Where the files are, and what fails.

    `root`: a directory on a RAM disk; `rng`: decides what a torn write leaves; `on_cut`: is called
    when the power is cut; `failing`: which files can't be used, and since when by the true time.
    """

    root: Path
    rng: Random
    on_cut: Callable[[], None]
    failing: dict[str, int] = field(default_factory=dict)
    fails_commit: bool = False
    cut_in: int | None = None
    struck: bool = False
    lives: int = 0
    writers: dict[str, Callable[[], sqlite3.Connection]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.here.mkdir(parents=True)

    @property
    def here(self) -> Path:
        """The directory as this boot sees it."""
        return self.root / str(self.lives)

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self.here / name

    def strike(self, name: str, call: str) -> None:
        """Fail a call on a file, or cut the power, if it is time for that.

        Raises:
            StoreError: the disk was told to fail.
            PowerCutError: the power is cut; the files have been kept as they are.
        """
        if self.cut_in is not None:
            self.cut_in -= 1
            if self.cut_in < 0:
                self.struck = True
                self.cut()
        if name in self.failing or (call == "commit" and self.fails_commit):
            raise StoreError(f"{name}: the disk was told to fail")

    def around(self, name: str, call: str, do: Callable[[], T]) -> T:
        """Do something; the power may be cut before it and after it."""
        self.strike(name, call)
        done = do()
        if self.cut_in is not None:
            self.strike(name, "")
        return done

    def cut(self) -> None:
        """Cut the power: keep the files as they are now in the next life's directory.

        Raises:
            PowerCutError: always.
        """
        self.on_cut()
        self.cut_in = None
        before = self.here
        self.lives += 1
        self.here.mkdir()
        for name in FILES:
            if (before / name).exists():
                shutil.copy(before / name, self.here / name)
            wal = before / f"{name}-wal"
            if wal.exists() and not self._lost(name):
                shutil.copy(wal, self.here / wal.name)
                if self.rng.random() < 0.3:
                    self._tear(self.here / wal.name)
        raise PowerCutError

    def forget_earlier(self) -> None:
        """Delete what the life before left."""
        shutil.rmtree(self.root / str(self.lives - 1))

    def _lost(self, name: str) -> bool:
        opened = self.writers.get(name)
        if opened is None:
            return False
        try:
            (level,) = opened().execute("PRAGMA synchronous").fetchone()
        except StoreError:
            return False
        return bool(level < SYNCHRONOUS_FULL)

    def _tear(self, wal: Path) -> None:
        with wal.open("ab") as file:
            file.write(self.rng.randbytes(self.rng.randrange(1, 5000)))


def failing(name: str, method: Callable[..., T]) -> Callable[..., T]:
    """Return a method of a store on that disk, before which a call may fail."""

    def call(self: Any, *arguments: Any) -> T:
        self.disk.strike(name, "read")
        return method(self, *arguments)

    return call


def writing(name: str, method: Callable[..., T]) -> Callable[..., T]:
    """Return a method of a store on that disk, around which the power may be cut."""

    def call(self: Any, *arguments: Any) -> T:
        return cast("T", self.disk.around(name, "write", lambda: method(self, *arguments)))

    return call


class SimVisits(RetriedVisits):
    """The door log on that disk; tells `stored` of what is on record.

    `opened`: is called with the number on record and the row key of each attempt; `closed`: is
    called with the number on record, the reason and the row key.
    """

    def __init__(
        self,
        disk: Disk,
        opened: Callable[[int, bytes | None], None],
        closed: Callable[[int, str, bytes | None], None],
    ) -> None:
        super().__init__(disk.path(VISITS))
        self.disk = disk
        self._told = (opened, closed)
        self._numbers: dict[int, int] = {}

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, or fail."""

        def do() -> None:
            super(SimVisits, self).open_attempt(opened)
            self._numbers[opened.attempt] = opened.attempt + (self._shift or 0)
            self._told[0](self._numbers[opened.attempt], opened.row_key)

        self.disk.around(VISITS, "open", do)

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, or fail."""

        def do() -> None:
            super(SimVisits, self).close_attempt(closed)
            self._told[1](self._numbers[closed.attempt], closed.reason.value, closed.row_key)

        self.disk.around(VISITS, "close", do)

    keep_clock = writing(VISITS, RetriedVisits.keep_clock)
    keep_carried = writing(VISITS, RetriedVisits.keep_carried)
    add_counts = writing(VISITS, RetriedVisits.add_counts)
    delete_before = writing(VISITS, RetriedVisits.delete_before)
    compact = writing(VISITS, RetriedVisits.compact)
    card_throttle = failing(VISITS, RetriedVisits.card_throttle)
    wrong_pins = failing(VISITS, RetriedVisits.wrong_pins)
    wrong_pins_by = failing(VISITS, RetriedVisits.wrong_pins_by)
    reader_throttle = failing(VISITS, RetriedVisits.reader_throttle)


class SimPatrons(PatronCache):
    """The patron cache on that disk, as the door reads it."""

    disk: Disk
    find = failing(PATRONS, PatronCache.find)
    cards_of = failing(PATRONS, PatronCache.cards_of)
    version = failing(PATRONS, PatronCache.version)


class SimBranch(BranchRecords):
    """``branch.db`` on that disk, as the door reads it."""

    disk: Disk
    bans = failing(BRANCH, BranchRecords.bans)
    calendar = failing(BRANCH, BranchRecords.calendar)
    override = failing(BRANCH, BranchRecords.override)


class SimRegister(PatronCacheWriter):
    """The patron cache's writer on that disk, which may fail at the very commit."""

    disk: Disk

    def apply(self, rows: Iterable[SealedRow], *, guard: Guard, **terms: Any) -> Applied:
        """Apply a push, or fail before its commit; the power may be cut after it."""

        def guarded(changes: Changes) -> Mapping[str, str] | None:
            told = guard(changes)
            self.disk.strike(PATRONS, "commit")
            return told

        return self.disk.around(
            PATRONS, "apply", lambda: super(SimRegister, self).apply(rows, guard=guarded, **terms)
        )
