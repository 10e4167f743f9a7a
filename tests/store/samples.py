"""Invented patrons, times and seals that the tests of the store share."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorctl.access.patron import Patron, SealedRow
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped
from doorctl.store.branch_writer import SEEN_FOR
from doorctl.store.keys import Seal

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SEAL = Seal("0badcafe", 64, 1)
DAY = timedelta(days=1)


def key_of(number: int) -> bytes:
    """Return the row key of the card with an invented number."""
    return hashlib.sha256(b"card %d" % number).digest()[:16]


def sealed(number: int, patron_ref: str, *, resident: bool = True) -> SealedRow:
    """Return a sealed row with a PIN check."""
    check = hashlib.sha256(b"pin %d" % number).digest()
    return SealedRow(key_of(number), Patron(patron_ref, pin_check=check, resident=resident))


def stamped(
    at: datetime = NOON,
    boot: BootTime | None = None,
    state: ClockState = ClockState.TRUSTED,
) -> Stamped:
    """Return the time of an attempt."""
    return Stamped(at, state, boot or BootTime("boot-1", 60_000))


def seen_before(moment: Moment) -> Moment:
    """Return one long enough before another for ``branch.db`` to delete by that one, once seen."""
    return replace(moment, local=moment.local - SEEN_FOR)


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the raw bytes of every file in a directory, lock files too."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
