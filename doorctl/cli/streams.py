"""The three standard streams, in whatever state the caller left them."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their file descriptors, 0 to 2."""


def open_streams() -> None:
    """Open ``/dev/null`` where a stream is closed, and let no odd character cause a failure.

    The next file that is opened, a database, would else be taken for the missing stream.
    """
    for descriptor, (name, mode) in enumerate(STREAMS):
        if getattr(sys, name) is None:
            _put_null(descriptor)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it lives as long as we do
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):
            # An ASCII-only terminal shows a ? for an å.
            stream.reconfigure(errors="replace")


def stdout_refuses() -> bool:
    """Tell whether stdout accepts nothing, such as a full disk; if so, close it quietly."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        # What is buffered would fail once more at the interpreter's exit.
        _put_null(sys.stdout.fileno())
        return True
    return False


def _put_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    if null != descriptor:
        os.close(null)
