from __future__ import annotations

from collections.abc import Iterator

import pytest

from doorctl.store.connection import BATCH_ROWS, batches


@pytest.mark.parametrize("number", [0, 1, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, 1000])
def test_every_thing_comes_once_and_in_order(number: int) -> None:
    """Only the last list may be shorter than the others, and none is empty."""
    lists = list(batches(range(number)))

    assert [thing for each in lists for thing in each] == list(range(number))
    assert all(len(each) == BATCH_ROWS for each in lists[:-1])
    assert all(lists)


def test_no_more_is_read_than_is_asked_for() -> None:
    """A push of a million rows is never in memory."""
    read: list[int] = []

    def things() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    next(batches(things()))

    assert len(read) == BATCH_ROWS
