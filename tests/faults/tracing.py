"""Running a command under ``strace``, which counts its calls or strikes it at one of them."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.faults.calls import OPENS, WRITES, Traced, traced

LIMIT_S = 120.0
"""A run that is not over by then hangs: it takes a fraction of a second on an idle machine."""

_NAMES = sorted({*WRITES, *OPENS})

CHECKOUT = Path(__file__).parent.parent.parent


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
    attempt = ["strace", "-qq", "-o", os.devnull, "true"]
    return subprocess.run(attempt, capture_output=True, check=False).returncode == 0


def run(
    command: Sequence[str],
    directory: Path,
    options: Sequence[str] = (),
    files: Sequence[str] = (),
) -> Ran:
    """Run a command to its end and say what it did to a directory.

    Args:
        command: makes the same calls each time, at least those to a file.
        directory: where the calls are looked at.
        options: more of ``strace``'s.
        files: below the directory; only calls to these are counted and struck, so that the
            command can still import, and say what it has to say. None for all calls.
    """
    with tempfile.TemporaryDirectory(prefix="doorctl-trace-") as work:
        trace = Path(work) / "trace"
        watch = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(trace)]
        calls = ["-e", f"trace={','.join(f'?{name}' for name in _NAMES)}", "-e", "signal=none"]
        calls += [option for name in files for option in ("-P", str(directory.resolve() / name))]
        code, said, complained = _ended([*watch, *calls, *options, "--", *command])
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    return Ran(traced(lines, str(directory.resolve())), said, complained, code)


def _ended(command: Sequence[str]) -> tuple[int | None, str, str]:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=CHECKOUT,
            env=steady() | {"PYTHONPYCACHEPREFIX": _bytecode()},
        )
    except subprocess.TimeoutExpired:
        return None, "", ""
    return done.returncode, done.stdout, done.stderr


def compile_for(command: Sequence[str]) -> None:
    """Run a command once, so that what it imports is compiled for the runs that are counted."""
    writing = {key: value for key, value in steady().items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        command,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        cwd=CHECKOUT,
        env=writing | {"PYTHONPYCACHEPREFIX": _bytecode()},
    )


@cache
def _bytecode() -> str:
    # In the checkout others write theirs meanwhile; a program that finds some opens fewer files.
    directory = tempfile.mkdtemp(prefix="doorctl-bytecode-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def steady() -> dict[str, str]:
    """Return an environment in which a program makes the same calls each time."""
    plain = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    return plain | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def python(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of the tests."""
    return [sys.executable, "-m", module, *map(str, arguments)]
