"""``python -m tests.e2e.commands``: imports doorctl once, then forks.

Each command is a process of its own, with its own environment and streams, as from a shell. What it
is spared is half a second of imports, which :mod:`tests.e2e.test_usage` proves for every command.
So are a door and a web process that are started as ``forked``; they are tethered as any other is.
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
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import doorctl.cli
import doorctl.demo
import doorctl.services

ROOT = Path(__file__).parents[2]
STREAMS = (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_APPEND)


class Commands:
    """Runs commands, one after the other; thread-safe.

    `over` is laid over the environment of the process that forks.
    """

    def __init__(self, **over: str) -> None:
        self._over = over
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str] | None:
        """Run one to its end; None while another one runs, which may be what that one waits for."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._run(words, environment, stdin)
        finally:
            self._lock.release()

    def _run(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.commands"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # Streams that a module took hold of when it was imported are the command's too.
                env={**os.environ, "PYTHONIOENCODING": "utf-8", **self._over},
            )
            atexit.register(self._process.communicate)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name, stream) for stream in ("in", "out", "err")]
            for file in files:
                file.write_text(stdin if file.name == "in" else "", encoding="utf-8")
            asked = {
                "words": list(words),
                "environment": dict(environment),
                "directory": str(Path.cwd()),
                "files": [str(file) for file in files],
            }
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            code = int(self._process.stdout.readline())
            told = [file.read_text(encoding="utf-8", errors="replace") for file in files[1:]]
        return subprocess.CompletedProcess(words, code, *told)


class Forked:
    """A door's process from `Forking`, with those methods of a `Popen` that a `Stage` uses."""

    def __init__(self, pid: int, stdout: BinaryIO, code: int) -> None:
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
    """Starts doors, or web processes, from one that has imported their module. One thread.

    `over` is laid over the environment of that one.
    """

    def __init__(self, module: str, **over: str) -> None:
        self._module, self._over = module, over
        self._asking: socket.socket | None = None

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: int, stderr: int
    ) -> Forked:
        """Start one command, whose stdout is the process's."""
        if self._asking is None:
            self._asking, theirs = socket.socketpair()
            with theirs:
                asked_on = str(theirs.fileno())
                command = [sys.executable, "-m", "tests.e2e.commands", asked_on, self._module]
                environment_of_it = {**os.environ, **self._over}
                process = subprocess.Popen(
                    command, cwd=ROOT, pass_fds=(theirs.fileno(),), env=environment_of_it
                )
            # It ends when nobody can ask any more.
            atexit.register(process.wait)
            atexit.register(self._asking.close)
        reading, writing = os.pipe()
        code, ended = os.pipe()
        asked = {
            "words": list(words),
            "environment": dict(environment),
            "directory": str(Path.cwd()),
        }
        written = json.dumps(asked).encode()
        given = [stdin, writing, stderr, ended]
        socket.send_fds(self._asking, [struct.pack("!I", len(written))], given)
        self._asking.sendall(written)
        os.close(writing)
        os.close(ended)
        pid = int(self._asking.recv(16))
        return Forked(pid, os.fdopen(reading, "rb"), code)


def fork_processes(asking: socket.socket, module: str) -> None:
    """Fork for each one that is asked for, and tell each one's end, until nobody asks any more."""
    importlib.import_module(module)
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
                _take(asked, given[:3])
                # Those of the parent are files, in which one can seek.
                sys.stdin, sys.stdout, sys.stderr = (
                    open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                    for number, mode in enumerate("rww")
                )
                sys.argv = ["doorctl", *asked["words"]]
                doorctl.demo.main()
                return
            for descriptor in given[:3]:
                os.close(descriptor)
            children[os.pidfd_open(pid)] = (pid, given[3])
            asking.sendall(str(pid).encode())


def serve() -> None:
    """Fork for each line on stdin, and answer with an exit code as `subprocess` tells it."""
    importlib.import_module("doorctl.wiring.sync")
    for room in (doorctl.cli, doorctl.services):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    # Or each fork looks through all of it when it ends, which takes longer than what it does.
    gc.freeze()
    # Not by `sys.stdin`, which is the command's.
    for line in open(0, encoding="utf-8", closefd=False):  # noqa: SIM115
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
            return
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(code, flush=True)  # noqa: T201 - to the tests


def _become(asked: Mapping[str, Any]) -> None:
    """Run a command as `python -m doorctl` does; it ends with this process."""
    _take(asked, [os.open(*stream) for stream in zip(asked["files"], STREAMS, strict=True)])
    sys.argv = ["doorctl", *asked["words"]]
    runpy.run_module("doorctl", run_name="__main__", alter_sys=True)


def _take(asked: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Take over the environment, the directory and the three standard streams."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    sys.path[:0] = filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))
    for number, opened in enumerate(streams):
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fork_processes(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
    else:
        serve()
