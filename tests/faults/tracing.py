"""Running a command under ``strace``, which counts its calls or strikes it at one of them."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from select import select
from typing import TypeVar

# The system calls that change a directory, by ``strace``, and each fault at each of them. Pure.

WRITES = (
    *("write", "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync"),
    *("openat", "mkdir", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
)
"""Calls after which something else may stand on the disk. An `openat` counts if it can create.

Not `writev`: a driver tells by it what it has done, also when no other write gets through. Stores
into a mapped ``-shm`` are no calls; no file is believed for what stands in it.
"""

OPENS = ("openat", "socket")
"""Calls that need a descriptor, of which there may be none left."""

SOCKET = "(socket)"
"""Stands for what a socket is of."""

UNNAMED = "(unnamed)"
"""Stands for every temporary file, whose number is another one each time."""

_CALL = re.compile(
    r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>\S+)(?P<rest>.*)"
)
_DESCRIPTOR = re.compile(r"\d+<(?P<path>/[^>]*)>")
_PATH = re.compile(r'"(?P<path>/[^"]*)"')
_UNFINISHED = re.compile(r"(?P<thread>\d+) +(?P<head>.*) *<unfinished \.\.\.>(?P<tail>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<tail>.*)")
_CREATES = re.compile(r"\bO_(CREAT|TMPFILE)\b")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.

    Args:
        name: the call's.
        nth: it is its thread's n-th one of this name, from 1; calls elsewhere count too.
        file: what it is about, below the directory; None for something elsewhere.
        changes: whether something else may stand on the disk after it.
        thread: which of the run's threads makes it, from 0 in the order of their first calls.
    """

    name: str
    nth: int
    file: str | None
    changes: bool = True
    thread: int = 0

    @property
    def opens(self) -> bool:
        """Whether it needs a descriptor."""
        return self.name in OPENS


@dataclass(frozen=True, slots=True)
class Traced:
    """What was written down of one run.

    `calls`: all of them in their order; `struck`: those that were made to fail, or at which the
    process was killed.
    """

    calls: tuple[Call, ...]
    struck: tuple[Call, ...]

    @property
    def changes(self) -> tuple[Call, ...]:
        """Those that change the directory."""
        return tuple(call for call in self.calls if call.file is not None and call.changes)


def traced(lines: Iterable[str], directory: str) -> Traced:
    """Read a trace of :data:`WRITES` and :data:`OPENS`, made with ``-f -y``.

    Args:
        lines: with or without their line feed; what is no call is skipped.
        directory: absolute and without links, as the kernel names it.
    """
    numbered = list(_numbered(lines, directory))
    struck = tuple(call for call, was_struck in numbered if was_struck)
    return Traced(tuple(call for call, _ in numbered), struck)


def _numbered(lines: Iterable[str], directory: str) -> Iterator[tuple[Call, bool]]:
    seen: Counter[tuple[str, str]] = Counter()
    threads: dict[str, int] = {}
    for line in _joined(lines):
        if (found := _CALL.match(line)) is None:
            continue
        name, arguments = found["name"], found["arguments"]
        thread = threads.setdefault(found["thread"], len(threads))
        seen[found["thread"], name] += 1
        # A call at which the process is killed never returns.
        was_struck = found["result"] == "?" or "(INJECTED)" in found["rest"]
        file, changes = _about(name, arguments, directory)
        nth = seen[found["thread"], name]
        yield Call(name, nth, file, changes, thread), was_struck


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield whole calls; one in which another thread's stands comes when it returns."""
    begun: dict[str, str] = {}
    for line in lines:
        if unfinished := _UNFINISHED.match(line):
            if " = " in unfinished["tail"]:
                yield f"{unfinished['thread']} {unfinished['head']}{unfinished['tail']}"
            else:
                begun[unfinished["thread"]] = unfinished["head"]
        elif resumed := _RESUMED.match(line):
            head = begun.pop(resumed["thread"], "")
            yield f"{resumed['thread']} {head}{resumed['tail']}"
        else:
            yield line


def _about(name: str, arguments: str, directory: str) -> tuple[str | None, bool]:
    if name == "socket":
        return SOCKET, False
    by_path = name.startswith(("open", "mkdir", "rename", "link", "unlink"))
    found = (_PATH if by_path else _DESCRIPTOR).search(arguments)
    if found is None or not f"{found['path']}/".startswith(f"{directory}/"):
        return None, False
    file = found["path"].removeprefix(directory).removeprefix("/")
    # An unnamed file is made in the directory and shown as ``#`` and its inode's number, or it
    # has had a name for a moment.
    is_unnamed = "O_TMPFILE" in arguments or file.startswith(("#", "tmp"))
    changes = name != "openat" or _CREATES.search(arguments) is not None
    return UNNAMED if is_unnamed else file or ".", changes


# Where and how a run is struck: each call that concerns the directory, by each fault. Pure.

T = TypeVar("T")


class Fault(Enum):
    """What happens at a call, in ``strace``'s words, and whether at every later one too."""

    KILLED = ("signal=KILL", False)
    DISK_FAILS_ONCE = ("error=EIO", False)
    DISK_FAILS_FOR_GOOD = ("error=EIO", True)
    DISK_FULL_ONCE = ("error=ENOSPC", False)
    DISK_FULL_FOR_GOOD = ("error=ENOSPC", True)
    NO_DESCRIPTOR_ONCE = ("error=EMFILE", False)
    NO_DESCRIPTOR_FOR_GOOD = ("error=EMFILE", True)

    @property
    def what(self) -> str:
        """``signal=`` or ``error=`` and its name."""
        return self.value[0]

    @property
    def lasts(self) -> bool:
        """Whether it goes on."""
        return self.value[1]

    def strikes(self, call: Call) -> bool:
        """Tell whether it can happen at a call."""
        return call.opens if self in _OF_DESCRIPTORS else call.changes


_OF_DESCRIPTORS = frozenset({Fault.NO_DESCRIPTOR_ONCE, Fault.NO_DESCRIPTOR_FOR_GOOD})


@dataclass(frozen=True, slots=True)
class Point:
    """One run.

    Args:
        call: where it is struck first.
        fault: by what.
        before: how many calls of each name come before it in its thread; that is how they are
            counted.
        names: of all calls at which it can happen; what lasts strikes all of them.
    """

    call: Call
    fault: Fault
    before: tuple[tuple[str, int], ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        fault = self.fault.name.lower().replace("_", " ")
        return f"{fault} at {self.call.name} {self.call.nth} of {self.call.file}"

    @property
    def options(self) -> list[str]:
        """The options that make ``strace`` do it; it counts the calls of each name apart."""
        once = ["-e", f"inject={self.call.name}:{self.fault.what}:when={self.call.nth}"]
        if not self.fault.lasts:
            return once
        before = Counter(dict(self.before))
        each = (f"inject={name}:{self.fault.what}:when={before[name] + 1}+" for name in self.names)
        return [option for inject in each for option in ("-e", inject)]


def points(calls: Sequence[Call]) -> list[Point]:
    """Return every point of a run that made these calls, in their order."""
    names = {
        fault: tuple(sorted({call.name for call in calls if call.file and fault.strikes(call)}))
        for fault in Fault
    }
    before: defaultdict[int, Counter[str]] = defaultdict(Counter)
    found = []
    for call in calls:
        if call.file is not None:
            so_far = tuple(sorted(before[call.thread].items()))
            faults = (fault for fault in Fault if fault.strikes(call))
            found += [Point(call, fault, so_far, names[fault]) for fault in faults]
        before[call.thread][call.name] = call.nth
    return found


def spread(items: Sequence[T], most: int | None) -> list[T]:
    """Return at most so many of them, evenly spread and the same ones each time; None for all."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


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
    command: Sequence[str], directory: Path, options: Sequence[str] = (), files: Sequence[str] = ()
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
