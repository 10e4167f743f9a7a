"""The three standard streams, in whatever state the caller left them."""

from __future__ import annotations

import os
import sys
from io import TextIOBase, TextIOWrapper
from typing import TextIO, cast

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


class Unfailing(TextIOBase):
    """A stream that never fails to write: the work matters more than its report.

    Attributes:
        failed: why a write failed; None while none did.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.failed: OSError | None = None

    @property
    def file(self) -> TextIO:
        """The stream as a `TextIO`; it has only the methods for writing."""
        return cast(TextIO, self)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        if self.failed is None:
            try:
                self._stream.write(text)
            except OSError as err:
                self.failed = err
        return len(text)

    def flush(self) -> None:
        """Write the buffered text, or drop it."""
        if self.failed is None:
            try:
                self._stream.flush()
            except OSError as err:
                self.failed = err

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal."""
        return self._stream.isatty()


def _put_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    if null != descriptor:
        os.close(null)
