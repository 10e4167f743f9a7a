"""A part of doorctl in a process of its own, which is struck as it is about to change a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doorctl.core.errors import DoorctlError

CHANGES = frozenset(
    {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod", "os.chown"}
)
"""Of these an ``open`` counts where it can make a file."""

OVER = "over"


def kill(_event: str) -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def full(event: str) -> None:
    """Be a disk without room."""
    if event in {"open", "os.mkdir"}:
        raise OSError(28, "No space left on device", "a file")


def broken(_event: str) -> None:
    """Be a disk that fails."""
    raise OSError(5, "Input/output error", "a file")


def struck(
    do: Callable[[], object],
    nth: int,
    strike: Callable[[str], None] = kill,
    below: Path = Path("/"),
    *,
    lasting: bool = False,
) -> str:
    """Do something whose nth change of a file, or each from that on, is struck; tell how it ended.

    That is what its error says, "" where it was killed, or :data:`OVER` where it was done before.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event in CHANGES and str(below) in str(arguments[0]):
                if event == "open" and not arguments[2] & os.O_CREAT:
                    return
                count += 1
                if count == nth or (lasting and count > nth):
                    strike(event)

        sys.addaudithook(hook)
        said = ""
        try:
            do()
            said = "done" if count >= nth else OVER
        except DoorctlError as err:
            said = str(err)
        except BaseException as err:  # noqa: BLE001 - the parent tells it
            said = f"bug {err!r}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert not said.startswith("bug"), said
    return said
