"""One command, run to its end: no shell, no input, a time limit, and bounded output."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from types import MappingProxyType

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
)
"""All that a command is told: nothing of systemd's sockets or credentials."""

CHUNK_BYTES = 65536
"""What a pipe holds (pipe(7)), so that one read empties it."""

TAIL_BYTES = 1024
"""What is kept of what a command says."""

TOLD_CHARACTERS = 200
"""What is told of it: its last line, as programs end with why they failed."""

KILL_WAIT_S = 2.0
"""So long does it take to die; one that doesn't is stuck in a dead disk or network mount."""


def run(
    argv: Sequence[str], *, limit_s: float, now_s: Callable[[], float], stop: socket.socket
) -> str | None:
    """Run a command in a session of its own, which is killed as a whole once it has ended.

    Args:
        argv: the program and its arguments; a program without a ``/`` is looked up.
        limit_s: after so many seconds it is killed.
        now_s: monotonic seconds.
        stop: it is killed as soon as this can be read.

    Returns:
        None where it ended with 0, else why not, with the last line of its standard error.
    """
    try:
        process = Popen(  # noqa: S603 - the technician's own command, and no shell reads it
            argv,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"it can't be started: {error}"
    assert process.stderr is not None  # noqa: S101 - asked for above
    with process.stderr as errors:
        try:
            os.set_blocking(errors.fileno(), False)
            said = _watched(process.pid, errors.fileno(), now_s() + limit_s, now_s, stop)
        finally:
            ended = _killed(process)
        said += _read(errors.fileno())
    return _verdict(process.returncode, said, limit_s, ended=ended)


def _watched(
    pid: int, errors: int, until_s: float, now_s: Callable[[], float], stop: socket.socket
) -> bytes:
    """Return the tail of what was said until the process ended, was too slow or had to stop."""
    said = b""
    process = os.pidfd_open(pid)
    try:
        with DefaultSelector() as selector:
            selector.register(process, EVENT_READ)
            selector.register(stop, EVENT_READ)
            selector.register(errors, EVENT_READ)
            while (left_s := until_s - now_s()) > 0:
                ready = {key.fd for key, _ in selector.select(left_s)}
                if process in ready or stop.fileno() in ready:
                    break
                if errors in ready:
                    chunk = _read(errors)
                    said = (said + chunk)[-TAIL_BYTES:]
                    if not chunk:
                        selector.unregister(errors)
    finally:
        os.close(process)
    return said


def _killed(process: Popen[bytes]) -> bool:
    """End it with all that it started, and tell whether it had ended by itself."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    # Its number is its own until it is waited for; what it left running ends with it.
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutExpired):
        process.wait(KILL_WAIT_S)
    return ended


def _read(errors: int) -> bytes:
    try:
        return os.read(errors, CHUNK_BYTES)
    except BlockingIOError:
        return b""


def _verdict(code: int | None, said: bytes, limit_s: float, *, ended: bool) -> str | None:
    if code is None:
        return f"it did not end within {limit_s:g} s and can't be killed"
    if not ended:
        return f"it did not end within {limit_s:g} s and was killed"
    if code == 0:
        return None
    why = f"it ended with {code}" if code > 0 else f"signal {-code} ended it"
    lines = said[-TAIL_BYTES:].decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "").strip()
    told = "".join(one if one.isprintable() else "?" for one in last[-TOLD_CHARACTERS:])
    return f"{why}: {told}" if told else why
