"""Commands that switch outputs, run as real processes: order, limits, and what leaks into them.

Bug (robustness review): a command that could not be watched, for want of a descriptor, left its
output dead and its child running.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from doorctl.extras.outputs.commands import ENVIRONMENT, TOLD_CHARACTERS, CommandOutputs
from tests.fakes.waiting import LIMIT_S, until

Build = Callable[..., CommandOutputs]


@pytest.fixture
def failures() -> queue.SimpleQueue[tuple[str, str]]:
    """Where failures are told."""
    return queue.SimpleQueue()


@pytest.fixture
def build(failures: queue.SimpleQueue[tuple[str, str]]) -> Iterator[Build]:
    """Return how to build outputs, ``light`` and others, that are stopped in the end."""
    built: list[CommandOutputs] = []

    def make(
        light: tuple[str, ...], limit_s: float = LIMIT_S, **others: tuple[str, ...]
    ) -> CommandOutputs:
        commands = {"light": light, **others}
        told = failures.put
        built.append(CommandOutputs(commands, time.monotonic, lambda *why: told(why), limit_s))
        return built[-1]

    yield make
    for one in built:
        one.stop()


def shell(script: str, *arguments: object) -> tuple[str, ...]:
    """Return the argv of a shell script, whose last argument is the wish."""
    return ("sh", "-c", script, "sh", *map(str, arguments))


def lines(path: Path, wanted: int) -> list[str]:
    """Wait until a file has so many lines, and return them."""

    def found() -> list[str]:
        read = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return read if len(read) >= wanted else []

    return until(found)


def wait_until_idle() -> None:
    """Wait until no command runs and none is to come."""
    until(lambda: all(one.name != "output-light" for one in threading.enumerate()))


def is_gone(pid: int) -> bool:
    """Wait until a process has ended."""

    def ended() -> bool:
        with suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            return state[0] == "Z"
        return True

    return until(ended)


def test_no_shell_reads_the_arguments(build: Build, tmp_path: Path) -> None:
    """What a shell would expand arrives as it was written."""
    out = tmp_path / "out"
    program = "import sys; open(sys.argv[1], 'w').write('\\n'.join(sys.argv[2:]) + '\\n')"
    told = ("$HOME", "`id`", "; rm -rf x", "*", "a b")
    build((sys.executable, "-c", program, str(out), *told)).switch("light", on=True)

    assert lines(out, len(told) + 1) == [*told, "on"]


@pytest.fixture
def silent_input() -> Iterator[None]:
    """Give this process a standard input that never ends and says nothing."""
    reading, writing = os.pipe()
    own = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(own, 0)
    for fd in (own, reading, writing):
        os.close(fd)


@pytest.mark.usefixtures("silent_input")
def test_a_command_inherits_nothing(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of ours, no input, no open file, no controlling terminal, no directory of ours.

    The stop socket and whatever else the process has open must not outlive it in a child.
    """
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/doorctl")
    out = tmp_path / "out"
    program = (
        "import os, sys\n"
        "seen = sorted(set(os.environ) - {'LC_CTYPE'})\n"
        "fds = [fd for fd in range(3, 256) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "own = os.getsid(0) == os.getpid()\n"
        "open(sys.argv[1], 'w').write(f'{seen} {sys.stdin.read()!r} {own} {os.getcwd()}\\n')\n"
        "assert not fds, fds\n"
    )
    build((sys.executable, "-c", program, str(out))).switch("light", on=True)

    assert lines(out, 1) == [f"{sorted(ENVIRONMENT)} '' True /"]


def test_the_last_wish_wins(build: Build, tmp_path: Path) -> None:
    """While one command runs, of many wishes only the last is done, and one runs at a time."""
    out, gate = tmp_path / "out", tmp_path / "gate"
    os.mkfifo(gate)
    script = 'echo "begin $3" >> $1; [ "$3" = off ] || cat $2; echo "end $3" >> $1'
    outputs = build(shell(script, out, gate))
    outputs.switch("light", on=True)
    lines(out, 1)
    for on in (False, True, False, True, False):
        outputs.switch("light", on=on)
    gate.write_text("go", encoding="ascii")

    assert lines(out, 4) == ["begin on", "end on", "begin off", "end off"]


def test_a_wish_that_returns_to_what_stands_runs_nothing(build: Build, tmp_path: Path) -> None:
    """Off and on again while the light is being switched on is no flicker."""
    out, gate = tmp_path / "out", tmp_path / "gate"
    os.mkfifo(gate)
    outputs = build(shell('echo $3 >> $1; [ "$3" = off ] || cat $2', out, gate))
    outputs.switch("light", on=True)
    lines(out, 1)
    outputs.switch("light", on=False)
    outputs.switch("light", on=True)
    gate.write_text("go", encoding="ascii")
    wait_until_idle()
    outputs.switch("light", on=True)
    wait_until_idle()

    assert lines(out, 1) == ["on"]


def test_two_outputs_do_not_wait_for_each_other(build: Build, tmp_path: Path) -> None:
    """A panel that hangs keeps no light from being switched."""
    out = tmp_path / "out"
    outputs = build(shell("echo on >> $1", out), panel=shell("sleep 600"))
    outputs.switch("panel", on=True)
    outputs.switch("light", on=True)

    assert lines(out, 1) == ["on"]


FAILING = [
    (("/nonexistent/program",), "it can't be started: [Errno 2] No such file"),
    (("/etc/hostname",), "it can't be started: [Errno 13] Permission denied"),
    (("a\0b",), "it can't be started: embedded null byte"),
    (("false",), "it ended with 1"),
    (shell("echo first >&2; echo 'no route' >&2; exit 7"), "it ended with 7: no route"),
    (shell("echo answer; exit 2"), "it ended with 2"),
    (shell("kill -15 $$"), "signal 15 ended it"),
    (shell("printf 'a\\033[2Jb\\377\\n' >&2; exit 3"), "it ended with 3: a?[2Jb\ufffd"),
]


@pytest.mark.parametrize(("argv", "why"), FAILING)
def test_a_failure_is_told_in_one_line(
    build: Build,
    failures: queue.SimpleQueue[tuple[str, str]],
    argv: tuple[str, ...],
    why: str,
) -> None:
    """The name, what happened, and the last line the command said, printable."""
    build(argv).switch("light", on=True)

    name, told = failures.get(timeout=LIMIT_S)

    assert name == "light"
    assert told.startswith(why)
    assert told.isprintable()


def test_a_command_that_cannot_be_watched_is_ended_and_told(
    failures: queue.SimpleQueue[tuple[str, str]], tmp_path: Path
) -> None:
    """Nothing of it goes on unseen, its number is given back, and the next wish is carried out.

    A clock that fails stands for whatever may fail between start and end, such as no free
    descriptor; of the exception only the kind is told.
    """
    out, broken = tmp_path / "out", threading.Event()

    def now_s() -> float:
        if not broken.is_set():
            broken.set()
            lines(out, 1)
            raise OSError(24, "Too many open files", "/secret")
        return time.monotonic()

    argv = shell('echo "$$ $2" >> $1; [ "$2" = off ] || sleep 600', out)
    outputs = CommandOutputs({"light": argv}, now_s, lambda *told: failures.put(told), LIMIT_S)
    outputs.switch("light", on=True)
    told = failures.get(timeout=LIMIT_S)
    pid = int(lines(out, 1)[0].split()[0])
    wait_until_idle()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    outputs.switch("light", on=False)

    assert told == ("light", "a fault of doorctl's own, or of its machine (OSError)")
    assert lines(out, 2)[1].endswith(" off")
    outputs.stop()


def test_endless_output_is_bounded(
    build: Build, failures: queue.SimpleQueue[tuple[str, str]]
) -> None:
    """A command that says megabytes is neither blocked by it nor kept in memory."""
    flood = "yes output | head -c 20000000; yes complaint | head -c 20000000 >&2"
    script = f"{flood}; head -c 2000 /dev/zero | tr '\\0' x >&2; exit 4"
    build(shell(script)).switch("light", on=True)

    _, told = failures.get(timeout=LIMIT_S)

    assert told == f"it ended with 4: {'x' * TOLD_CHARACTERS}"


def test_one_that_hangs_is_killed_with_its_children(
    build: Build, failures: queue.SimpleQueue[tuple[str, str]], tmp_path: Path
) -> None:
    """After the limit nothing of it is left, though it ignores every polite signal."""
    out = tmp_path / "out"
    script = "trap '' TERM INT HUP; sleep 600 & echo $$ >> $1; echo $! >> $1; wait; wait"
    build(shell(script, out), limit_s=1.0).switch("light", on=True)
    pids = [int(line) for line in lines(out, 2)]

    _, told = failures.get(timeout=LIMIT_S)

    assert told == "it did not end within 1 s and was killed"
    assert all(is_gone(pid) for pid in pids)


def test_one_that_closes_its_output_is_waited_for(build: Build, tmp_path: Path) -> None:
    """No more output is not the end."""
    out = tmp_path / "out"
    script = "exec 2>&-; sleep 0.2; echo done >> $1"
    build(shell(script, out)).switch("light", on=True)

    assert lines(out, 1) == ["done"]


def test_what_a_command_leaves_running_ends_with_it(build: Build, tmp_path: Path) -> None:
    """A child that holds the output open neither delays the end nor survives it."""
    out = tmp_path / "out"
    script = "if [ $3 = on ]; then sleep 600 & echo $! >> $1; else echo off >> $2; fi"
    outputs = build(shell(script, out, tmp_path / "off"))
    outputs.switch("light", on=True)
    (pid,) = (int(line) for line in lines(out, 1))
    outputs.switch("light", on=False)

    assert lines(tmp_path / "off", 1) == ["off"]
    assert is_gone(pid)


def test_failures_in_a_row_are_told_once(
    build: Build, failures: queue.SimpleQueue[tuple[str, str]], tmp_path: Path
) -> None:
    """One alarm until it has worked again; after a failure the same wish runs again."""
    out, works = tmp_path / "out", tmp_path / "works"
    outputs = build(shell("echo run >> $1; test -e $2", out, works))

    def switch(*, on: bool, runs: int) -> None:
        outputs.switch("light", on=on)
        lines(out, runs)
        wait_until_idle()

    switch(on=True, runs=1)
    switch(on=True, runs=2)
    switch(on=False, runs=3)
    works.touch()
    switch(on=True, runs=4)
    works.unlink()
    switch(on=False, runs=5)

    assert [failures.get_nowait(), failures.get_nowait()] == [("light", "it ended with 1")] * 2
    assert failures.empty()


def test_stopping_kills_what_runs_and_starts_nothing(
    build: Build, failures: queue.SimpleQueue[tuple[str, str]], tmp_path: Path
) -> None:
    """stop() returns though a command hangs, tells no failure, and may be called again."""
    out = tmp_path / "out"
    outputs = build(shell("echo $$ >> $1; sleep 600", out))
    outputs.switch("light", on=True)
    (pid,) = (int(line) for line in lines(out, 1))
    outputs.switch("light", on=False)
    outputs.stop()
    outputs.stop()
    outputs.switch("light", on=False)

    assert is_gone(pid)
    assert out.read_text(encoding="ascii") == f"{pid}\n"
    assert failures.empty()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
