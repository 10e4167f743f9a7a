"""``python -m tests.faults.forks``: has imported all that is struck, and forks for each command.

A line on stdin has a driver, its words, and where its two outputs go; the answers are the process's
number, once it stands still to be traced, and its exit code.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import doorctl

DRIVERS = ("apply", "commands", "swipe")
YAMA_ANY = (0x59616D61, ctypes.c_ulong(-1))
"""``PR_SET_PTRACER``: else only a parent may trace, where Yama says so."""


def serve() -> None:
    """Fork until stdin ends."""
    for module in pkgutil.walk_packages(doorctl.__path__, "doorctl."):
        import_module(module.name)
    for name in DRIVERS:
        import_module(f"tests.faults.{name}")
    # Or each fork looks through all of it when it ends.
    gc.freeze()
    # Not by `sys.stdin`, which is the command's.
    for line in open(0, encoding="utf-8", closefd=False):  # noqa: SIM115
        words, outputs = json.loads(line)
        pid = os.fork()
        if not pid:
            become(words, outputs)
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)  # noqa: T201 - to the harness
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def become(words: Sequence[str], outputs: Sequence[str]) -> None:
    """Stand still, then run a driver to its end."""
    os.setsid()
    for number, path in enumerate((os.devnull, *outputs)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    ctypes.CDLL(None).prctl(*YAMA_ANY, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    sys.argv = list(words)
    module, _, driver = words[0].partition(":")
    sys.exit(getattr(import_module(module), driver)())


if __name__ == "__main__":
    serve()
