"""Outputs that are switched by commands, such as a light on the network."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from threading import Lock, Thread
from types import MappingProxyType

from doorctl.core.errors import DeviceError

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
)
"""The environment of a command: none of systemd's sockets or credentials."""

CHUNK_BYTES = 65536
"""What a pipe holds (pipe(7)), so that one read empties it."""

TAIL_BYTES = 1024
"""How much of a command's output is kept."""

TOLD_CHARACTERS = 200
"""How much of it is reported: its last line, as programs end with why they failed."""

KILL_WAIT_S = 2.0
"""How long a command may take to die; else it is stuck in a dead disk or network mount."""


def run(
    argv: Sequence[str], *, limit_s: float, now_s: Callable[[], float], stop: socket.socket
) -> str | None:
    """Run a command in a session of its own; return None if it ended with 0, else why not.

    The whole session is killed once the command has ended, after `limit_s`, or as soon as `stop`
    can be read. A program without a ``/`` is looked up. The reason has the last line of its
    standard error.
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
    """Return the end of the command's output, once it has ended, was too slow or had to stop."""
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
    """Kill the process and all that it started; return whether it had ended by itself."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    # Nothing else gets its number until we wait for it; the processes that it left end with it.
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
    shown = "".join(char if char.isprintable() else "?" for char in last[-TOLD_CHARACTERS:])
    return f"{why}: {shown}" if shown else why


LIMIT_S = 10.0
"""How long a command may take; a lamp or an alarm panel answers within a second or two."""


class CommandOutputs:
    """Outputs by command, for a process that has a network. Thread-safe; `switch` never waits.

    `commands` has each output's by its name; ``on`` or ``off`` is added, and no shell reads it.

    For one output one command runs at a time; of the requests meanwhile only the last is carried
    out. An output's state is unknown at first, and after a command that failed: then the next
    `switch` runs its command whatever it asks for. Nothing is tried again by itself. After
    `limit_s` a command and all that it started is killed.

    Args:
        failed: called with a name and why, from another thread, once until a command of this
            output has worked again; must not raise.
        worked: called with a name after each command that worked; as `failed`.
    """

    def __init__(
        self,
        commands: Mapping[str, tuple[str, ...]],
        now_s: Callable[[], float],
        failed: Callable[[str, str], None],
        limit_s: float = LIMIT_S,
        *,
        worked: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._outputs = {name: _Output(name, command) for name, command in commands.items()}
        self._failed, self._worked = failed, worked
        self._lock = Lock()
        self._stopping = False
        # Closing one end wakes the thread that watches a command: it can be read from then on.
        self._stop, self._stopper = socket.socketpair()
        self._run = partial(run, limit_s=limit_s, now_s=now_s, stop=self._stop)

    def switch(self, name: str, *, on: bool) -> None:
        """Ask for a state; raises DeviceError only if there is no output of that name."""
        if name not in self._outputs:
            raise DeviceError(f"there is no output {name}")
        with self._lock:
            output = self._outputs[name]
            output.wish = on
            if output.thread is None and not self._stopping:
                thread = Thread(
                    target=self._serve, args=(output,), name=f"output-{name}", daemon=True
                )
                # If no thread can be started, the next switch tries again.
                thread.start()
                output.thread = thread

    def stop(self) -> None:
        """Kill running commands and leave each output as it is; none starts then. Idempotent."""
        with self._lock:
            self._stopping = True
            threads = [
                output.thread for output in self._outputs.values() if output.thread is not None
            ]
        self._stopper.close()
        for thread in threads:
            thread.join(2 * KILL_WAIT_S)
        self._stop.close()

    def _serve(self, output: _Output) -> None:
        while (wish := self._next(output)) is not None:
            why = self._ran((*output.command, "on" if wish else "off"))
            with self._lock:
                output.state = wish if why is None else None
                tell = why is not None and not output.failing and not self._stopping
                output.failing = why is not None
            if tell:
                self._failed(output.name, why or "")
            elif why is None:
                self._worked(output.name)

    def _ran(self, argv: Sequence[str]) -> str | None:
        try:
            return self._run(argv)
        except Exception as err:  # noqa: BLE001 - unheard, the output would stand still for ever
            return f"a fault of doorctl's own, or of its machine ({type(err).__name__})"

    def _next(self, output: _Output) -> bool | None:
        with self._lock:
            wish, output.wish = output.wish, None
            if self._stopping or wish == output.state:
                wish = None
            if wish is None:
                output.thread = None
            return wish


@dataclass(slots=True)
class _Output:
    """The state of one output; `state` is None while unknown."""

    name: str
    command: tuple[str, ...]
    state: bool | None = None
    wish: bool | None = None
    failing: bool = False
    thread: Thread | None = None
