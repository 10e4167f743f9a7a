"""A process's socket for the time of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doorctl.rpc.control import Answers, ControlServer


@contextmanager
def serving(path: Path, answers: Answers, **more: Any) -> Iterator[Path]:
    """Answer on a socket; yield its path."""
    server = ControlServer(path, answers, **more)
    server.start()
    try:
        yield path
    finally:
        server.stop()
