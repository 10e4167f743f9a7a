"""Seal those who have changed, in parallel, and write their rows as they go over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice

from doorctl.ports import Sealer
from doorctl.sync.differ import Difference
from doorctl.sync.outbox import Revision, Terms
from doorctl.sync.seal import other_days, seal_rows
from doorctl.sync.wire import encode


def reseal(
    difference: Difference,
    sealer: Sealer,
    *,
    terms: Terms,
    on: date | None,
    workers: int,
    on_progress: Callable[[int, int], None],
    flags_weak: bool = False,
) -> Iterator[Revision]:
    """Yield a revision for each changed patron; see `seal_rows` for the arguments."""
    rows = seal_rows(
        difference.changed,
        sealer,
        minimum_age=terms.minimum_age,
        on=on,
        workers=workers,
        on_progress=on_progress,
        flags_weak=flags_weak,
    )
    for patron, fingerprint in zip(difference.changed, difference.fingerprints, strict=True):
        lines = tuple(encode(row) for row in islice(rows, len(patron.identifiers)))
        days = other_days(patron, terms.other_ages, on)
        yield Revision(patron.patron_ref, fingerprint, lines, days)
