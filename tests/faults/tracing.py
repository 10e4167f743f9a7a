"""Running a command under ``strace``, which counts its calls or strikes it at one of them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from select import select

from tests.faults.calls import OPENS, WRITES, Traced, traced

LIMIT_S = 120.0
"""A run that is not over by then hangs: it takes a fraction of a second on an idle machine."""

CHECKOUT = Path(__file__).parent.parent.parent
DOORCTL = "doorctl.__main__:main"

_STRACE = ("strace", "-f", "-y", "-s", "0", "-e", "signal=none")
_NAMES = f"trace={','.join(f'?{name}' for name in sorted({*WRITES, *OPENS}))}"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run that has ended.

    Args:
        traced: its calls.
        said: what it wrote on standard output.
        complained: what it wrote on standard error.
        code: its exit code; negative if a signal ended it; None if it hung.
    """

    traced: Traced
    said: str
    complained: str
    code: int | None


def is_here() -> bool:
    """Tell whether ``strace`` is installed and may trace."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with _watched([*_STRACE, "-o", os.devnull], other.pid):
                other.kill()
        except RuntimeError:
            other.kill()
            return False
    return True


def run(
    command: Sequence[str],
    directory: Path,
    options: Sequence[str] = (),
    files: Sequence[str] = (),
) -> Ran:
    """Run a driver to its end and say what it did to a directory.

    Args:
        command: the driver, as ``module:function``, and its words; it makes the same calls each
            time, at least to a file.
        directory: where the calls are looked at.
        options: more of ``strace``'s.
        files: below the directory; only calls to these are counted and struck, so that the
            command can still import, and say what it has to say. None for all calls.
    """
    paths = [option for name in files for option in ("-P", str(directory.resolve() / name))]
    return _ran(command, [*_STRACE, "-e", _NAMES, *paths, *options], directory)


def call(command: Sequence[str]) -> None:
    """Run a driver that has to do its work, untraced."""
    ran = _ran(command)
    assert ran.code == 0, ran.complained


def _ran(command: Sequence[str], strace: Sequence[str] = (), directory: Path = Path()) -> Ran:
    with tempfile.TemporaryDirectory(prefix="doorctl-trace-") as name:
        said, complained, trace = (Path(name) / what for what in ("said", "complained", "trace"))
        code = _ended(command, (said, complained), [*strace, "-o", str(trace)] if strace else ())
        lines = trace.read_text(encoding="utf-8", errors="replace") if strace else ""
        calls = traced(lines.splitlines(), str(directory.resolve()))
        return Ran(calls, said.read_text("utf-8"), complained.read_text("utf-8"), code)


_idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
"""Forking processes that nobody uses just now; each runs one command at a time."""


def _ended(command: Sequence[str], outputs: Sequence[Path], strace: Sequence[str]) -> int | None:
    try:
        forks = _idle.get_nowait()
    except Empty:
        forks = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks"],
            cwd=CHECKOUT,
            env=steady(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        atexit.register(forks.communicate)
    assert forks.stdin is not None
    assert forks.stdout is not None
    forks.stdin.write(json.dumps([command, list(map(str, outputs))]).encode() + b"\n")
    pid = int(forks.stdout.readline())
    with _watched(strace, pid):
        os.kill(pid, signal.SIGCONT)
        hangs = not select([forks.stdout], [], [], LIMIT_S)[0]
        if hangs:
            os.killpg(pid, signal.SIGKILL)
        code = int(forks.stdout.readline())
    _idle.put(forks)
    return None if hangs else code


@contextmanager
def _watched(strace: Sequence[str], pid: int) -> Iterator[None]:
    """Trace a process from here to its end; RuntimeError where that may not be."""
    if not strace:
        yield
        return
    command = [*strace, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        told = tracer.stderr.readline()
        if "attached" not in told:
            raise RuntimeError(told)
        yield


def steady() -> dict[str, str]:
    """Return an environment in which a program makes the same calls each time."""
    plain = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    return plain | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def python(driver: Callable[[], int], *arguments: object) -> list[str]:
    """Return the command that runs a driver of the tests."""
    return [f"{driver.__module__}:{driver.__name__}", *map(str, arguments)]
