"""A daemon started, heard until it decides, and stopped as systemd does.

``python -m tests.faults.starting ready|purged COMMAND...``
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

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
    until, command = sys.argv[1], sys.argv[2:]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        for line in daemon.stdout:
            os.writev(sys.stdout.fileno(), [line])
            if is_last(line, until):
                daemon.terminate()
        code = daemon.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
