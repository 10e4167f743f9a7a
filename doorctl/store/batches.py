"""Many rows, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

BATCH_ROWS = 100
"""Rows in memory at a time. Measured on a push: 1 000 take a quarter longer, for they have left the
processor's cache when SQLite comes to them; 50 and 200 are no faster."""

T = TypeVar("T")


def batches(things: Iterable[T]) -> Iterator[list[T]]:
    """Yield all of `things` in order, in lists of :data:`BATCH_ROWS`; the last may be shorter."""
    remaining = iter(things)
    while batch := list(islice(remaining, BATCH_ROWS)):
        yield batch
