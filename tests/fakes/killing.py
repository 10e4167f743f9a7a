"""A power cut within a process: it is ended before its n-th write."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType

KILLED = 137


def killed_at(point: int, writes: frozenset[str], work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed before its n-th write; False where it ended well.

    `writes`: the names of the built-in functions and methods that count.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def watch(_frame: FrameType, event: str, what: object) -> None:
            nonlocal seen
            if event == "c_call" and getattr(what, "__name__", "") in writes:
                seen += 1
                if seen == point:
                    os._exit(KILLED)

        sys.setprofile(watch)
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must not come back into the test
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, KILLED}
    return code == KILLED
