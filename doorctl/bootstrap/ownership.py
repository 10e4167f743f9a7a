"""Has a database changed by the process that owns it, and owns it while none does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TypeVar

from doorctl.errors import NotAnsweringError, StoreBusyError
from doorctl.identity import owner_of

LIMIT_S = 5.0
"""Longest wait for another command; it takes milliseconds, only a load or a purge takes longer."""

LOOK_S = 0.05

ResultT = TypeVar("ResultT")


def by_the_owner(
    asked: Callable[[], ResultT],
    alone: Callable[[], ResultT],
    *,
    absent: type[NotAnsweringError] = NotAnsweringError,
    of: Path | None = None,
    limit_s: float = LIMIT_S,
) -> ResultT:
    """Ask the owner; do it here while it is not running, once other commands are done.

    Where the owner runs but takes no questions, its lock refuses us, with one clear line.

    Args:
        asked: asks the owner.
        alone: opens the database as its writer and does it here; from its first line on, it may
            be called again where somebody else is the writer.
        absent: what `asked` raises where it may be done here.
        of: the database's directory, where the caller may not be its owner yet: root's commands
            become that one while they do it here.
        limit_s: seconds from the call on, after which somebody else's lock is not awaited.

    Raises:
        StoreBusyError: somebody else is the writer, and stays it.
        BaseException: whatever else the two raise.
    """
    end_s = perf_counter() + limit_s
    while True:
        try:
            return asked()
        except absent:
            pass
        try:
            with nullcontext() if of is None else owner_of(of):
                return alone()
        except StoreBusyError:
            if perf_counter() >= end_s:
                raise
        Event().wait(LOOK_S)
