"""The three standard streams, whatever whoever started us has made of them."""

from __future__ import annotations

import os
import sys
from io import TextIOBase, TextIOWrapper
from typing import TextIO, cast

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their file descriptors, 0 to 2."""


def open_streams() -> None:
    """Put ``/dev/null`` where a stream is closed, and let no odd character be a reason to fail.

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
    """Tell whether stdout takes nothing, such as a full disk; if so, close it quietly."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        # What is buffered would fail once more at the interpreter's exit.
        _put_null(sys.stdout.fileno())
        return True
    return False


class Unfailing(TextIOBase):
    """Writes for as long as that goes well: what is being done matters more than who hears of it.

    Args:
        stream: where to.

    Attributes:
        failed: why it could not be written; None while it could.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.failed: OSError | None = None

    @property
    def file(self) -> TextIO:
        """Itself, for those who ask for a `TextIO`: of that it has what is needed to write."""
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
        """Hand on what is buffered, or drop it."""
        if self.failed is None:
            try:
                self._stream.flush()
            except OSError as err:
                self.failed = err

    def isatty(self) -> bool:
        """Tell whether somebody watches."""
        return self._stream.isatty()


def _put_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    if null != descriptor:
        os.close(null)
