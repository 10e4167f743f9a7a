"""The store itself over SQLite in memory: quick, on no disk, and each part can be told to fail."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from doorctl.access.patron import Applied, SealedRow
from doorctl.access.policy import Policy
from doorctl.core.errors import StoreError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import Moment
from doorctl.core.ports import Seal
from doorctl.privacy.audit import Deed, Entry
from doorctl.privacy.audit_chain import Head
from doorctl.store import branch_rows, door_log, patrons
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.connection import translated
from doorctl.store.door_log import VisitHistory
from doorctl.store.layout import Layout
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.records import AuditRecords, AuditTrail
from doorctl.store.visits import VisitStore

SEAL = Seal("0badcafe", 64, 1)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class FastSealer:
    """A `Sealer` that costs nothing and protects nothing."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the identifier's SHA-256."""
        return StretchedKey(hashlib.sha256(identifier.reveal().encode()).digest())


@cache
def _laid_out(layout: Layout) -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    layout.begin(connection)
    content = connection.serialize()
    connection.close()
    return content


@cache
def _directory() -> Path:
    """Return an empty directory, but for a file by which a branch was made once."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    (directory / "branch.db").touch()
    return directory


class InMemory:
    """What the store has as a `Writer` and as a `WatchedReader`; `broken` makes each use fail."""

    def __init__(self, layout: Layout) -> None:
        self.broken = False
        self.path = _directory() / f"{layout.name}.db"
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.deserialize(_laid_out(layout))
        self._database.execute("PRAGMA foreign_keys=ON")

    @property
    def database(self) -> sqlite3.Connection:
        """The one connection."""
        if self.broken:
            raise StoreError(f"{self.path.name} in memory was told to fail")
        return self._database

    def current(self) -> sqlite3.Connection:
        """Return the connection."""
        return self.database

    def fetch(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return all records of a query."""
        with translated(self.path):
            return self.database.execute(sql, parameters).fetchall()

    def is_at(self, file: tuple[int, int]) -> bool:
        """Tell that no file is doubted."""
        return file != (0, 0)

    def version(self) -> int:
        """Return a number that each change moves."""
        return self.database.total_changes

    def close(self) -> None:
        """Do nothing."""


class _Breakable:
    """A store in memory; `broken` makes every call fail."""

    memory: Any

    @property
    def database(self) -> Any:
        """The one connection."""
        return self.memory.database

    @property
    def broken(self) -> bool:
        """Whether it fails."""
        return bool(self.memory.broken)

    @broken.setter
    def broken(self, broken: bool) -> None:
        self.memory.broken = broken


class MemoryPatrons(_Breakable, PatronCache, PatronCacheWriter):  # type: ignore[override]  # no file
    """A patron cache's two sides."""

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
        self.memory = InMemory(patrons.migrations)
        PatronCache.__init__(self, self.memory.path, SEAL)
        self.seal, self.erasures, self.policy = SEAL, None, policy
        self._rows = self._commits = self.memory
        self._start_empty(incomplete=False)

    def apply(
        self, rows: Iterable[SealedRow], *, applied_at: datetime | None, **terms: Any
    ) -> Applied:
        """Apply rows; without a time they are as those that no push has confirmed yet."""
        applied = super().apply(rows, applied_at=applied_at or _LONG_AGO, **terms)
        if applied_at is None:
            self.database.execute("UPDATE cache SET applied_at = NULL")
        return applied


class MemoryVisits(VisitStore, VisitHistory):
    """A door log's two sides; `broken` makes writes fail.

    `survivor`: another one, whose process has died.

    Attributes:
        checkpoint: what `compact` returns.
    """

    memory: Any

    def __init__(self, survivor: MemoryVisits | None = None) -> None:
        self.broken = False
        self.checkpoint = (0, 0, 0)
        memory: Any = survivor.memory if survivor else InMemory(door_log.migrations)
        self.memory = self._reader = self._writer = memory
        self.path, self._fetch = memory.path, memory.fetch
        self.database.execute(
            "UPDATE attempts SET verdict = 'refused', reason = 'fault' WHERE verdict IS NULL"
        )

    def compact(self) -> tuple[int, int, int]:
        """Return `checkpoint`, or fail."""
        self._fail_if_broken()
        return self.checkpoint

    def prove_writable(self) -> None:
        """Try to write, or fail."""
        self._fail_if_broken()
        super().prove_writable()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction, or fail."""
        self._fail_if_broken()
        with super().transaction() as connection:
            yield connection

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the memory log was told to fail")


class MemoryBranch(_Breakable, BranchRecords, BranchRecordsWriter):  # type: ignore[override]  # as above
    """A branch's two sides."""

    def __init__(self) -> None:
        self.memory = InMemory(branch_rows.migrations)
        BranchRecords.__init__(self, self.memory.path)
        self.reader = self._commits = self.memory
        self._stale = False

    def restrict_only(self, *whose: bytes | str | None) -> None:
        """Restrict the data of these cards and patrons, and of nobody else."""
        into = "INSERT INTO restrictions (row_key, patron_ref, since_ms, by) VALUES (?, ?, 0, '')"
        self.execute("DELETE FROM restrictions")
        for one in filter(None, whose):
            self.execute(into, (one, None) if isinstance(one, bytes) else (None, one))

    def tell_wrong_pins(self, elsewhere: Mapping[str, int]) -> None:
        """Let other branches have told of these wrong PINs and no others."""
        rows: Iterable[tuple[str, int]] = elsewhere.items()
        self.execute("DELETE FROM wrong_pins_elsewhere")
        self.database.executemany(
            "INSERT INTO wrong_pins_elsewhere (patron_ref, wrong, day) VALUES (?, ?, '9999')", rows
        )

    def _compact_if_stale(self) -> None:
        """Do nothing: there is no file."""


class MemoryAudit(AuditTrail):
    """An audit log's two sides; `broken` lets nothing be put on record."""

    def __init__(self, branch: MemoryBranch | None = None) -> None:
        memory = branch or MemoryBranch()
        super().__init__(memory)
        self.broken = False
        self._records = AuditRecords(memory.path, memory.reader)

    def append(self, deed: Deed, by: str, moment: Moment) -> Head:
        """Put a deed on record, or fail."""
        if self.broken:
            raise StoreError("the memory audit log was told to fail")
        return super().append(deed, by, moment)

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries."""
        return self._records.entries()
