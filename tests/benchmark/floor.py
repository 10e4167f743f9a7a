"""What the same takes without doorctl, on this machine, in this run."""

from __future__ import annotations

import hmac
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory

from doorctl.demo.door import Plug

PACKAGES = (
    "apscheduler.schedulers.background, argon2.low_level, click, gpiozero.pins.mock, msgspec, "
    "orjson, serial, sqlite_utils, structlog"
)
"""What the door process imports that is not ours."""


class Echo:
    """A process that does nothing but read a pseudo-terminal; see :mod:`tests.benchmark.echo`.

    `directory`: for the pseudo-terminal's name.
    """

    def __init__(self, directory: Path) -> None:
        self._plug = Plug(directory / "echo")

    def __enter__(self) -> Self:
        self._plug.put_in()
        script = Path(__file__).with_name("echo.py")
        # -P: the neighbours of the script must not stand in for packages of the same name.
        command = [sys.executable, "-P", str(script), str(self._plug.name)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._answer()
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._plug.pull()

    def time_ns(self) -> int:
        """Return how long one byte took to be read on the other side."""
        before = time.monotonic_ns()
        self._plug.send(b"0")
        return int(self._answer()) - before

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def least_ns() -> Iterator[Callable[[], int]]:
    """Yield a function that times the least that opens a door: an HMAC, a compare, a mock pin."""
    with closing(MockFactory()) as factory, OutputDevice(17, pin_factory=factory) as output:
        yield partial(_least_ns, output)


def _least_ns(output: OutputDevice) -> int:
    before = time.perf_counter_ns()
    if hmac.compare_digest(hmac.digest(bytes(32), b"pin4711", "sha256"), bytes(32)):
        raise AssertionError
    output.on()
    taken = time.perf_counter_ns() - before
    output.off()
    return taken


def interpreter_s(statement: str) -> float:
    """Return how many seconds a fresh interpreter needs for one statement, start and end."""
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.monotonic() - before
