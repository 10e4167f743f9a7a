"""A slice of what is long: README's command takes it, ``WHOLE=1`` takes all, as `.ci/run` does.

A test that uses it is marked ``sliced``, and ``WHOLE=1 pytest -m sliced`` runs the whole of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

WHOLE = os.environ.get("WHOLE") == "1"

ItemT = TypeVar("ItemT")


def every(nth: int, items: Iterable[ItemT]) -> Iterator[ItemT]:
    """Yield the first of some items and each `nth` after it; all of them where all is wanted."""
    return islice(items, 0, None, 1 if WHOLE else nth)


def least(of_whole: int, nth: int) -> int:
    """Return how many of a slice there are at least where the whole has so many."""
    return of_whole if WHOLE else of_whole // nth
