"""A daemon started, heard until it decides, and stopped as systemd does.

Its words are ``ready`` or ``purged``, and those of doorctl.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from doorctl.__main__ import main as doorctl

PURGE_ALARMS = frozenset({"purge_failed", "purge_incomplete", "rounds_failing"})


def is_last(line: bytes, until: str) -> bool:
    """Tell whether a log line is the one to wait for.

    `line`: as it was written; `until`: ``ready``, or ``purged`` for what the first purge came to.
    """
    told = json.loads(line)
    if until == "ready":
        return bool(told["event"] == "ready")
    return told["event"] == "purge" or told.get("kind") in PURGE_ALARMS


def main() -> int:
    """Run it; return its exit code, as a shell tells it where a signal ended it."""
    until, sys.argv = sys.argv[1], sys.argv[2:]
    reading, writing = os.pipe()
    daemon = os.fork()
    if not daemon:
        os.dup2(writing, 1)
        os.close(reading)
        os.close(writing)
        doorctl()
    os.close(writing)
    with open(reading, "rb") as lines:  # noqa: PTH123 - a descriptor
        for line in lines:
            os.writev(sys.stdout.fileno(), [line])
            if is_last(line, until):
                os.kill(daemon, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(daemon, 0)[1])
    return code if code >= 0 else 128 - code
