"""A database is changed by the process that owns it, or here while that is not running."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TypeVar

from doorctl.core.errors import (
    HungError,
    NotAnsweringError,
    StoreBusyError,
)
from doorctl.core.identity import owner_of

ANSWER_LIMIT_S = 5.0

LIMIT_S = 5.0
"""Longest wait for another command; it takes milliseconds, only a load or a purge takes longer."""

LOOK_S = 0.05

ResultT = TypeVar("ResultT")


def by_the_owner(
    request: Callable[[], ResultT],
    alone: Callable[[], ResultT],
    *,
    absent: type[NotAnsweringError] = NotAnsweringError,
    of: Path | None = None,
    limit_s: float = LIMIT_S,
) -> ResultT:
    """Ask the owner; do it here while it is not running, once other commands are done.

    `alone` opens the database as its writer; it is called again while another process is that, for
    `limit_s` seconds from the call on. It may be called where `request` raises `absent`. Root's
    commands become the owner of the directory `of` while they do it here. Raises HungError: the
    owner is there and does not answer. StoreBusyError: another process is the writer until the
    limit is over.
    """
    end_s = perf_counter() + limit_s
    while True:
        try:
            return request()
        except HungError:
            raise
        except absent:
            pass
        try:
            with nullcontext() if of is None else owner_of(of):
                return alone()
        except StoreBusyError:
            if perf_counter() >= end_s:
                raise
        Event().wait(LOOK_S)
