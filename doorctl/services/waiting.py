"""How long web waits for a thread of its own that writes to a disk: not for ever."""

from __future__ import annotations

from concurrent.futures import Future, wait

from doorctl.core.errors import StuckError
from doorctl.services.app import ResultT

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""


def result_of(job: Future[ResultT], limit_s: float = WRITE_LIMIT_S) -> ResultT:
    """Return a job's result; what has not begun after `limit_s` seconds is not done later either.

    Raises:
        StuckError: it did not end in time; says whether it may be done all the same.
    """
    if wait([job], limit_s).done:
        return job.result()
    if job.cancel():
        raise StuckError("the disk is busy and nothing was changed; try again in a minute")
    raise StuckError("the disk does not answer; it may be done yet, so look before you try again")
