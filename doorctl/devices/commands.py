"""Outputs that are switched by commands, such as a light that hangs on the network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock, Thread

from doorctl.devices.one_command import KILL_WAIT_S, run
from doorctl.errors import DeviceError

LIMIT_S = 10.0
"""So long may a command take; a lamp's or an alarm panel's answers within a second or two."""


@dataclass(frozen=True, slots=True)
class OutputCommand:
    """One output.

    Args:
        name: what the configuration calls it; another one for each.
        on: the program and its arguments that switch it on; no shell reads them.
        off: the same for off.
    """

    name: str
    on: tuple[str, ...]
    off: tuple[str, ...]


class CommandOutputs:
    """Outputs by command, for a process that has a network. Thread-safe; `switch` never waits.

    For one output one command runs at a time, and of what was asked meanwhile only the last is
    done. What an output's state is at first nobody knows, nor after a command that failed: then
    the next `switch` runs its command whatever it asks for. Nothing is tried again by itself.

    Args:
        commands: which outputs there are.
        now_s: monotonic seconds.
        failed: called with a name and why, from another thread, once until a command of this
            output has worked again; must not raise.
        limit_s: after so many seconds a command and what it started is killed.
    """

    def __init__(
        self,
        commands: Iterable[OutputCommand],
        now_s: Callable[[], float],
        failed: Callable[[str, str], None],
        limit_s: float = LIMIT_S,
    ) -> None:
        self._outputs = {one.name: _Output(one) for one in commands}
        self._failed = failed
        self._lock = Lock()
        self._stopping = False
        # Closing one end wakes whoever watches a command: it can be read from then on.
        self._stop, self._stopper = socket.socketpair()
        self._run = partial(run, limit_s=limit_s, now_s=now_s, stop=self._stop)

    def switch(self, name: str, *, on: bool) -> None:
        """Ask for a state; DeviceError only where there is no output of that name."""
        if name not in self._outputs:
            raise DeviceError(f"there is no output {name}")
        with self._lock:
            output = self._outputs[name]
            output.wish = on
            if output.thread is None and not self._stopping:
                thread = Thread(
                    target=self._serve, args=(output,), name=f"output-{name}", daemon=True
                )
                # Where there is no thread to be had, the next switch tries again.
                thread.start()
                output.thread = thread

    def stop(self) -> None:
        """Kill what runs and leave every output as it is; nothing runs afterwards. Idempotent."""
        with self._lock:
            self._stopping = True
            threads = [one.thread for one in self._outputs.values() if one.thread is not None]
        self._stopper.close()
        for thread in threads:
            thread.join(2 * KILL_WAIT_S)
        self._stop.close()

    def _serve(self, output: _Output) -> None:
        while (wish := self._next(output)) is not None:
            command = output.command
            why = self._ran(command.on if wish else command.off)
            with self._lock:
                output.state = wish if why is None else None
                tell = why is not None and not output.failing and not self._stopping
                output.failing = why is not None
            if tell:
                self._failed(command.name, why or "")

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
    """What stands of one output; `state` is None where nobody knows."""

    command: OutputCommand
    state: bool | None = None
    wish: bool | None = None
    failing: bool = False
    thread: Thread | None = None
