"""Invented patrons, times and seals that the tests of the store share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from doorctl.access.patron import Applied, Patron, SealedRow
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped
from doorctl.core.ports import Seal
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.tables import to_ms
from doorctl.sync.receive import unguarded

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SEAL = Seal("0badcafe", 64, 1)
DAY = timedelta(days=1)
WHOLE = Patron(
    patron_ref="p-1001",
    pin_check=bytes(range(32)),
    resident=True,
    active=False,
    blocks=frozenset({"E", "", "two words", "æ"}),
    restricted=True,
    enter_from=date(2027, 2, 28),
    valid_until=date(9999, 12, 31),
    hold_from=date(2026, 1, 1),
    hold_until=date(2026, 12, 31),
    tags=frozenset({"self service", 'quo"te'}),
)
"""A patron of whom something stands in every field that a push brings."""


def key_of(number: int) -> bytes:
    """Return the row key of the card with an invented number."""
    return hashlib.sha256(b"card %d" % number).digest()[:16]


def sealed(number: int, patron_ref: str, *, resident: bool = True) -> SealedRow:
    """Return a sealed row with a PIN check."""
    check = hashlib.sha256(b"pin %d" % number).digest()
    return SealedRow(key_of(number), Patron(patron_ref, pin_check=check, resident=resident))


def push(writer: PatronCacheWriter, *listed: SealedRow, **other: Any) -> Applied:
    """Apply rows, or `rows`: the whole register at noon, for 15 years, unless told otherwise."""
    rows = other.pop("rows", listed)
    usual: Any = {"full": True, "applied_at": NOON, "minimum_age": 15, "guard": unguarded}
    return writer.apply(rows, **usual | other)


@dataclass
class Cache:
    """A cache's two sides."""

    lookup: PatronCache
    writer: PatronCacheWriter

    def push(
        self, *rows: SealedRow, full: bool = False, at: datetime = NOON, **other: Any
    ) -> Applied:
        """Apply rows, as changes unless told otherwise."""
        return push(self.writer, *rows, full=full, applied_at=at, **other)


def stamped(
    at: datetime = NOON,
    boot: BootTime | None = None,
    state: ClockState = ClockState.TRUSTED,
) -> Stamped:
    """Return the time of an attempt."""
    return Stamped(at, state, boot or BootTime("boot-1", 60_000))


def in_use_until(branch: BranchRecordsWriter, moment: Moment) -> None:
    """Let a file that was written before be as after a write at this time."""
    last = (str(to_ms(moment.local)), "deleted_by_ms")
    assert branch.database.execute("UPDATE settings SET value = ? WHERE key = ?", last).rowcount


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the raw bytes of every file in a directory, lock files too."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
