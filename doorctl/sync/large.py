"""What is too large to be held: rows that are read again for each pass, and what stands twice."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterator
from itertools import islice, pairwise
from typing import TypeVar

ItemT = TypeVar("ItemT")

HELD = 40_000
"""Items that are held, some 60 MB of patrons: of a usual town all, so that it is read once."""


class Again(Collection[ItemT]):
    """Items to be gone through several times: held if they are few, else made anew each time.

    Args:
        make: begins a pass; each pass yields the same.
        first: the first pass, gone through at once, where that does more; None for one of `make`.
        most: held at most; None holds any number.
    """

    def __init__(
        self,
        make: Callable[[], Iterator[ItemT]],
        first: Iterator[ItemT] | None = None,
        most: int | None = HELD,
    ) -> None:
        items = make() if first is None else first
        self._make = make
        self._held: list[ItemT] | None = list(islice(items, None if most is None else most + 1))
        self._count = len(self._held)
        if most is not None and self._count > most:
            self._held = None
            self._count += sum(1 for _ in items)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ItemT]:
        return self._make() if self._held is None else iter(self._held)

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)


PLACES = 256


class Marks:
    """The hashes of millions of values, at eight bytes each: what stood twice, and what was there.

    Two values may have one hash, of a million by a chance of one in ten millions: what is twice is
    to be looked at. A value that was added is always there.
    """

    def __init__(self) -> None:
        self._places = [array("q") for _ in range(PLACES)]
        self._sorted = True

    def add(self, value: Hashable) -> None:
        """Take a value."""
        mark = hash(value)
        self._places[mark % PLACES].append(mark)
        self._sorted = False

    def twice(self) -> frozenset[int]:
        """Return the hashes that were added more than once."""
        self._sort()
        pairs = (pair for marks in self._places for pair in pairwise(marks))
        return frozenset(mark for mark, after in pairs if mark == after)

    def __contains__(self, value: Hashable) -> bool:
        self._sort()
        mark = hash(value)
        marks = self._places[mark % PLACES]
        at = bisect_left(marks, mark)
        return at < len(marks) and marks[at] == mark

    def _sort(self) -> None:
        if not self._sorted:
            self._places = [array("q", sorted(marks)) for marks in self._places]
            self._sorted = True
