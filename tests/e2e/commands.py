"""``python -m tests.e2e.commands``: imports doorctl once, then forks.

Each command is a process of its own, with its own environment and streams, as from a shell. What it
is spared is half a second of imports, which :mod:`tests.e2e.test_usage` proves for every command.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import doorctl.cli
import doorctl.services

ROOT = Path(__file__).parents[2]
STREAMS = (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_APPEND)


class Commands:
    """Runs commands, one after the other; thread-safe."""

    def __init__(self) -> None:
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
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
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


def serve() -> None:
    """Fork for each line on stdin, and answer with an exit code as `subprocess` tells it."""
    for room in (doorctl.cli, doorctl.services):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
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
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    sys.path[:0] = filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))
    for number, (file, flags) in enumerate(zip(asked["files"], STREAMS, strict=True)):
        opened = os.open(file, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["doorctl", *asked["words"]]
    runpy.run_module("doorctl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve()
