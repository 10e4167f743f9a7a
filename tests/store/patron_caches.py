"""A patron cache's two sides, whichever adapter it is, and a push into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from doorctl.access.patron import Applied, SealedRow
from doorctl.access.ports import PatronLookup
from doorctl.sync.receive import Guard, PatronWriter, Push, unguarded
from tests.store.samples import NOON


@dataclass
class Cache:
    """A cache's two sides."""

    lookup: PatronLookup
    writer: PatronWriter

    def push(
        self,
        *listed: SealedRow,
        rows: Iterable[SealedRow] | None = None,
        full: bool = False,
        at: datetime | None = NOON,
        guard: Guard = unguarded,
        removals: Iterable[str] = (),
        push: Push | None = None,
    ) -> Applied:
        """Apply rows that were sealed for an age limit of 15."""
        return self.writer.apply(
            listed if rows is None else rows,
            full=full,
            applied_at=at,
            minimum_age=15,
            guard=guard,
            removals=removals,
            push=push,
        )
