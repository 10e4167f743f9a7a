"""``python -m tests.e2e.commands [MODULE]``: imports doorctl once, then forks.

Each command, door or web process is a process of its own, with its own environment and streams, as
from a shell. What it is spared is half a second of imports, which :mod:`tests.e2e.test_usage`
proves for every command. Doors and web processes are tethered as any other is.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import doorctl.cli
import doorctl.demo
import doorctl.services
from doorctl.config import load
from doorctl.extras.extra import folders
from doorctl.web.rendering import Templates

ROOT = Path(__file__).parents[2]


class Forked:
    """A process from `Forking`, with those methods of a `Popen` that a `Stage` uses."""

    def __init__(self, pid: int, code: int, stdout: BinaryIO | None = None) -> None:
        self.pid = pid
        self.stdout = stdout
        self._code = code
        self._returned: int | None = None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._returned is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code, as `Popen` does; TimeoutExpired while it runs."""
        if self._returned is None:
            if not select.select([self._code], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("doorctl", timeout or 0)
            self._returned = int(os.read(self._code, 16))
            os.close(self._code)
        return self._returned


class Forking:
    """Starts processes from one that has imported a module, or what commands need. Thread-safe.

    `over` is laid over the environment of that one.
    """

    def __init__(self, *module: str, **over: str) -> None:
        self._module, self._over = module, over
        self._lock = threading.Lock()
        self._asking: socket.socket | None = None

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: int, stderr: int
    ) -> Forked:
        """Start a door or a web process, whose stdout is a pipe and whose stdin its tether."""
        reading, writing = os.pipe()
        pid, code = self._fork(words, environment, (stdin, writing, stderr), tethered=True)
        os.close(writing)
        return Forked(pid, code, os.fdopen(reading, "rb"))

    def run(
        self, words: Sequence[str], environment: Mapping[str, str] = os.environ, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with ExitStack() as stack:
            files = [
                stack.enter_context(TemporaryFile("w+", encoding="utf-8", errors="replace"))
                for _ in range(3)
            ]
            files[0].write(stdin)
            files[0].seek(0)
            streams = [file.fileno() for file in files]
            code = Forked(*self._fork(words, environment, streams, tethered=False)).wait()
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(words, code, *(file.read() for file in files[1:]))

    def _fork(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        streams: Sequence[int],
        *,
        tethered: bool,
    ) -> tuple[int, int]:
        """Return the process's number, and where its exit code will be read."""
        asked = {
            "words": list(words),
            "environment": dict(environment),
            "directory": str(Path.cwd()),
            "tethered": tethered,
        }
        written = json.dumps(asked).encode()
        code, ended = os.pipe()
        with self._lock:
            asking = self._asking = self._asking or self._begin()
            socket.send_fds(asking, [struct.pack("!I", len(written))], [*streams, ended])
            asking.sendall(written)
            pid = int(asking.recv(16))
        os.close(ended)
        return pid, code

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.e2e.commands", str(theirs.fileno())]
            process = subprocess.Popen(
                [*command, *self._module],
                cwd=ROOT,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **self._over},
            )
        # It ends when nobody can ask any more.
        atexit.register(process.wait)
        atexit.register(ours.close)
        return ours


@cache
def doors_under(libraries: str) -> Forking:
    """Return what forks doors over which libraries are laid; there is one for each."""
    return Forking("doorctl.wiring.door", LD_PRELOAD=libraries)


def fork_processes(asking: socket.socket) -> None:
    """Fork for each one that is asked for, and tell each one's end, until nobody asks any more."""
    # Or each fork looks through all of it when it ends, which takes longer than what it does.
    gc.freeze()
    children: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([asking.fileno(), *children], [], [])[0]:
            if ready in children:
                pid, ended = children.pop(ready)
                os.write(ended, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(ended)
                os.close(ready)
                continue
            head, given, _, _ = socket.recv_fds(asking, 4, 4)
            if not head:
                return
            (length,) = struct.unpack("!I", head)
            asked = json.loads(asking.recv(length, socket.MSG_WAITALL))
            pid = os.fork()
            if not pid:
                for descriptor in (asking.fileno(), given[3], *children):
                    os.close(descriptor)
                for _, ended in children.values():
                    os.close(ended)
                _become(asked, given[:3])
                return
            for descriptor in given[:3]:
                os.close(descriptor)
            children[os.pidfd_open(pid)] = (pid, given[3])
            asking.sendall(str(pid).encode())


def _become(asked: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Run a command as `python -m doorctl` does; it ends with this process."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    sys.path[:0] = filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))
    for number, opened in enumerate(streams):
        os.dup2(opened, number)
        os.close(opened)
    # Those of the parent are files, in which one can seek.
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in enumerate("rww")
    )
    sys.argv = ["doorctl", *asked["words"]]
    # A door collects at its start what it has imported: here that is the template's, and frozen.
    gc.unfreeze = lambda: None
    if asked["tethered"]:
        doorctl.demo.main()
    else:
        runpy.run_module("doorctl", run_name="__main__", alter_sys=True)


def import_process(module: str) -> None:
    """Import a process's module, and what each start would do alike.

    That is: what the command line imports, which keys there are, and web's templates.
    """
    importlib.import_module(module)
    for name in ("doorctl.cli.app", "doorctl.cli.processes", "gpiozero.pins.mock"):
        importlib.import_module(name)
    config = load(ROOT / "config" / "demo.toml")
    if module == "doorctl.wiring.web":
        Templates(*folders(config)).compile_all()


def import_commands() -> None:
    """Import what any command may need."""
    importlib.import_module("doorctl.wiring.sync")
    for room in (doorctl.cli, doorctl.services):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)


if __name__ == "__main__":
    if sys.argv[2:]:
        import_process(sys.argv[2])
    else:
        import_commands()
    fork_processes(socket.socket(fileno=int(sys.argv[1])))
