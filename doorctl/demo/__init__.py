"""The virtual door and an evening at it, played on the real processes.

These end with the one that started them, even where that is killed: ``python -c TETHERED run …``
takes what :func:`tether` returns as its stdin, a pipe whose other end only its parent has. Linux's
own ``PR_SET_PDEATHSIG`` ends a child with the *thread* that started it, and the demo starts doors
from threads that end soon.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
from functools import cache

from doorctl.ops.memory import share_one_heap

TETHERED = "from doorctl.demo import main; main()"


@cache
def tether() -> int:
    """Return the file descriptor that each child takes as its stdin; always the same."""
    # Only this process holds the other end (Python makes it so), open until it ends.
    childs_end, _ours = os.pipe()
    return childs_end


def main() -> None:
    """Run the command line, and kill it when stdin ends: no graceful way is sure."""
    # Before the first thread, whose heap would be a second one.
    share_one_heap()
    threading.Thread(target=_end_with_parent, name="tether", daemon=True).start()
    runpy.run_module("doorctl", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
