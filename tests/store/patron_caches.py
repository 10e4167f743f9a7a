"""A patron cache's two sides, and a push into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from doorctl.access.patron import Applied, SealedRow
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from tests.store.samples import NOON, push


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
