"""The floor of a key press: a process that reads one byte from a serial line and says when.

Run as a script with the name of the line. A process and not a thread of the benchmark, because
the door's is one too: waking up across processes is a part of what no door can avoid.
"""

from __future__ import annotations

import sys
import time

from serial import Serial


def echo(port: str) -> None:
    """Print CLOCK_MONOTONIC in nanoseconds after each byte, until the line is pulled."""
    with Serial(port, 9600, timeout=None, exclusive=True) as line:
        print("open", flush=True)  # noqa: T201 - its answer
        while line.read(1):
            print(time.monotonic_ns(), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    echo(sys.argv[1])
