"""A disk that is full now and then: for a while the processes may write no file beyond 4 KiB."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LIMIT_BYTES = 4096


@contextmanager
def full_disk(pids: Sequence[int]) -> Iterator[None]:
    """Let these processes write no file beyond the limit (EFBIG) until the end of the block."""
    _limit(pids, LIMIT_BYTES)
    try:
        yield
    finally:
        _limit(pids, resource.RLIM_INFINITY)


def _limit(pids: Sequence[int], soft: int) -> None:
    for pid in pids:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
