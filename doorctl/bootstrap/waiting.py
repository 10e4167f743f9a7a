"""How long web waits for a thread of its own that writes to a disk: not for ever."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import TypeVar

from doorctl.errors import StuckError

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""

ResultT = TypeVar("ResultT")


def result_of(job: Future[ResultT], limit_s: float = WRITE_LIMIT_S) -> ResultT:
    """Return a job's result; what has not begun in time is not done later either.

    Args:
        job: what an executor was given.
        limit_s: longest wait in seconds.

    Raises:
        StuckError: it did not end in time; says whether it may be done all the same.
        BaseException: whatever the job raises.
    """
    if wait([job], limit_s).done:
        return job.result()
    if job.cancel():
        raise StuckError("the disk is busy and nothing was changed; try again in a minute")
    raise StuckError("the disk does not answer; it may be done yet, so look before you try again")
