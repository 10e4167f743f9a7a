"""Asks another process of this machine one line over its Unix socket, and reads its answer."""

from __future__ import annotations

import socket
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from doorctl.core.errors import HungError, NotAnsweringError, NotRunningError, StoreError
from doorctl.rpc.messages import ANSWER_LIMIT, ERROR, REFUSED, Line, received_refusal

READ_BYTES = 65_536

THERE_S = 1.0
"""Longest wait for a door process that is there; a healthy one answers in milliseconds."""

ASKED_AT_ONCE_S = 2.0
"""A question with so short a limit is asked at once, such as a key that is on its way."""


def ask(path: Path, line: Line, *, timeout_s: float, process: str = "door") -> dict[str, Any]:
    """Ask a process and return its answer; `timeout_s` is for the whole answer.

    Before a question that may take long, the door is asked whether it is there: one that hangs is
    as good as dead after a second. Raises InputError: it was refused, with the answerer's reason;
    nothing was changed. NotRunningError: no process takes questions there; nothing was asked.
    NotAnsweringError: it was asked, and gave no answer in time; it may be done all the same.
    StoreError: it answered that it could not do it, or this process has no socket to ask by.
    """
    if process == "door" and timeout_s > ASKED_AT_ONCE_S:
        ask_whether_there(path)
    answer = _answer(path, line, timeout_s, process)
    if REFUSED in answer:
        raise received_refusal(answer)
    if ERROR in answer:
        raise StoreError(str(answer[ERROR]))
    return answer


def ask_whether_there(path: Path) -> None:
    """Return once the door process takes questions.

    Raises NotRunningError: it is not running, or does not answer within :data:`THERE_S`; nothing
    was asked of it. StoreError: this process has no socket to ask by.
    """
    try:
        # No process knows this question: that it says so is the answer.
        _answer(path, Line("there"), THERE_S, "door")
    except NotRunningError:
        raise
    except NotAnsweringError as err:
        raise HungError(str(err)) from err


def _answer(path: Path, line: Line, timeout_s: float, process: str) -> dict[str, Any]:
    error: type[NotAnsweringError] = NotRunningError
    try:
        opened = socket.socket(socket.AF_UNIX)
    except OSError as err:
        # Our own shortage, such as of descriptors: it says nothing of the other process.
        raise StoreError(f"no socket to ask the {process} process by: {err.strerror}") from err
    try:
        with opened as connection:
            connection.settimeout(timeout_s)
            # Every message then carries its sender, whenever the other side reads it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            connection.connect(str(path))
            error = NotAnsweringError
            connection.sendall(msgspec.json.encode(line) + b"\n")
            return msgspec.json.decode(_received(connection, timeout_s), type=dict[str, Any])
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as err:
        raise error(
            f"the {process} process does not answer on {path}; "
            f"is it running? (systemctl status doorctl-{process})"
        ) from err


def _received(connection: socket.socket, limit_s: float) -> bytes:
    """Read up to the line feed, within the limit in all, so that a slow peer holds no caller."""
    began_s = perf_counter()
    answer = bytearray()
    while not answer.endswith(b"\n"):
        left_s = limit_s - (perf_counter() - began_s)
        if left_s <= 0 or len(answer) > ANSWER_LIMIT:
            raise TimeoutError
        connection.settimeout(left_s)
        some = connection.recv(READ_BYTES)
        if not some:
            break
        answer += some
    return bytes(answer)
