"""The one wait for what comes in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 120.0
"""Longest wait for anything that comes, in every test: however busy the machine is, only what hangs
takes so long."""

T = TypeVar("T")


def until(look: Callable[[], T | None]) -> T:
    """Look until there is something.

    Fail after :data:`LIMIT_S`, far more than it takes: a test asserts that it comes, not when.
    """
    pause_s = 0.005
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        found = look()
        if found:
            return found
        time.sleep(pause_s)
        # What takes seconds is not looked at two hundred times in each.
        pause_s = min(1.2 * pause_s, 0.05)
    raise AssertionError("it did not happen")
