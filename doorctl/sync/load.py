"""Load a feed into this machine's patron cache: read, seal, apply; all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from doorctl.core.errors import FeedError, Problem
from doorctl.core.moments import Moment
from doorctl.ports import Applied, Guard, SealedRow, Sealer
from doorctl.sync.feed import FeedPatron, read_feed
from doorctl.sync.seal import seal_rows


class RowWriter(Protocol):
    """The part of a `PatronWriter` that a load needs."""

    def apply(
        self,
        rows: Iterable[SealedRow],
        *,
        full: bool,
        applied_at: datetime | None,
        minimum_age: int,
        guard: Guard,
    ) -> Applied:
        """Apply rows in one durable transaction, or change nothing."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    `left_out` counts identifiers of types that no reader reads, `removed` those that the cache held
    before and no longer holds.
    """

    epoch: int
    patrons: int
    identifiers: int
    left_out: int
    removed: int


def load(
    path: Path,
    *,
    sealer: Sealer,
    writer: RowWriter,
    moment: Moment,
    pin_length: int,
    minimum_age: int,
    full: bool,
    guard: Guard,
    workers: int,
    on_progress: Callable[[int, int], None],
    flags_weak: bool = False,
) -> Loaded:
    """Read, check and seal the whole feed, then apply it in one transaction.

    The writer is called last and once, on this thread, so it need not hold its lock for the hour
    that sealing a town takes. `flags_weak`, `workers` and `on_progress` are as for `seal_rows`.

    Args:
        moment: now; the cache's age counts from it.
        minimum_age: in years; 0 for none.
        full: whether the feed is the whole register, so that everyone else is removed.

    Raises:
        FeedError: a row is wrong, or the feed would do something else than it seems to.
        StoreError: the cache can't be written; nothing was changed.
    """
    patrons = read_feed(path, pin_length=pin_length)
    _refuse_surprises(path.name, patrons, full=full)
    rows = list(
        seal_rows(
            patrons,
            sealer,
            minimum_age=minimum_age,
            on=moment.latest_known.date(),
            workers=workers,
            on_progress=on_progress,
            flags_weak=flags_weak,
        )
    )
    # Even an unset clock's time is kept: it is seldom ahead, and a future date counts as too old.
    applied_at = moment.local.astimezone(UTC)
    applied = writer.apply(
        rows, full=full, applied_at=applied_at, minimum_age=minimum_age, guard=guard
    )
    left_out = sum(patron.left_out for patron in patrons)
    return Loaded(applied.epoch, len(patrons), len(rows), left_out, applied.removed)


def _refuse_surprises(subject: str, patrons: Sequence[FeedPatron], *, full: bool) -> None:
    if full and not any(patron.identifiers for patron in patrons):
        what = "holds no card and no CPR number, so it would lock everybody out; export it again"
        raise FeedError(subject, [Problem("file", what)])
    if not full:
        _refuse_lost_cards(subject, patrons)


def _refuse_lost_cards(subject: str, patrons: Sequence[FeedPatron]) -> None:
    """Changes are applied card by card: without one, a patron's old cards would stay in force."""
    bare = [patron for patron in patrons if not patron.identifiers]
    if bare:
        what = "identifiers: no card and no CPR number; only a full feed can take a last card away"
        raise FeedError(subject, [Problem(f"line {patron.line}", what) for patron in bare[:20]])
