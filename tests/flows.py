"""How many files of the product a digit, a push and a page go through; counted, never timed.

``python -m tests.house --flows`` prints it. The door runs in this process over real stores and
mock pins; the web process is a real one, which is told by signals when to count.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import httpx2

from doorctl.__main__ import main as doorctl
from doorctl.accounts.roles import Role
from doorctl.demo import tether
from tests.benchmark.decision import InProcessDoor
from tests.benchmark.pages import signed_in
from tests.benchmark.register import cards, fill
from tests.browser.house import keep_records
from tests.fakes.waiting import until
from tests.web.branch import Branch, rows

PRODUCT = str(Path(__file__).parents[1] / "doorctl") + os.sep
COUNTED_IN = "DOORCTL_FLOW"
"""The environment's name for the file into which a traced process writes what it went through."""

QUIET_S = 0.5
"""Time for a signal to be heeded, and for what goes on after a start to end."""

Passed = set[tuple[str, str]]
"""Files and functions."""


class Trace:
    """Notes each function of the product that is called while `on`, on every thread.

    It ends by itself when the function `last` returns, by its qualified name.
    """

    def __init__(self, last: str = "") -> None:
        self.on = False
        self.last = last
        self.passed: Passed = set()

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call; what `sys.setprofile` takes."""
        code = frame.f_code
        if not self.on or not code.co_filename.startswith(PRODUCT):
            return
        if event == "call" and code.co_filename.endswith(".py"):
            self.passed.add((code.co_filename.removeprefix(PRODUCT), code.co_qualname))
        elif event == "return" and code.co_qualname == self.last:
            self.on = False

    def begin(self) -> None:
        """Follow this thread and all that are started from now on."""
        threading.setprofile(self)
        sys.setprofile(self)


class Traced(Branch):
    """A branch whose web process counts between two signals."""

    def _run(self, errors: BinaryIO) -> subprocess.Popen[bytes]:
        counted = self.directory / "flow.json"
        command = self.stage.command("web", tethered=True)
        run = [sys.executable, "-m", "tests.flows", *command[command.index("web") :]]
        return subprocess.Popen(
            run,
            stdin=tether(),
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, COUNTED_IN: str(counted)},
        )

    @contextmanager
    def counted(self) -> Iterator[Passed]:
        """Give what the process goes through meanwhile; it is there afterwards."""
        path, passed = self.directory / "flow.json", set[tuple[str, str]]()
        path.unlink(missing_ok=True)
        self.send(signal.SIGUSR1)
        time.sleep(QUIET_S)
        yield passed
        self.send(signal.SIGUSR2)
        until(path.exists)
        passed.update((name, code) for name, code in json.loads(path.read_text("utf-8")))


def digit(directory: Path) -> Passed:
    """Return what the last digit goes through until the relay is on."""
    trace = Trace(last="GpioRelay.energise")
    with InProcessDoor(fill(directory / "door", 100)) as door:
        warm, card = islice(cards(), 2)
        door.open_ns(warm)
        last = door.typed(card)
        trace.on = True
        sys.setprofile(trace)
        try:
            door.handle(last)
        finally:
            sys.setprofile(None)
    return trace.passed


def pushed_and_shown(directory: Path) -> Iterator[tuple[str, Passed]]:
    """Yield what a push of one row goes through until it is committed, and the log's page."""
    branch = Traced(directory)
    keep_records(branch.config, rows(1)[0].row_key)
    branch.start()
    try:
        branch.fill(100)
        with closing(httpx2.Client(base_url=f"http://127.0.0.1:{branch.port}")) as browser:
            browser.headers["Cookie"] = signed_in(browser, Role.STAFF)
            # What is done once at a start is none of a flow.
            browser.get("/log")
            time.sleep(QUIET_S)
            row = branch.document(rows(1), 2, kind="changes")
            with branch.counted() as push:
                assert branch.push(row, kind="changes").status_code == httpx2.codes.OK
            yield "pushed row -> commit", push
            with branch.counted() as page:
                assert browser.get("/log").status_code == httpx2.codes.OK
            yield "page of the log", page
    finally:
        branch.end()


def flows(directory: Path) -> Iterator[tuple[str, Passed]]:
    """Yield the name of each flow, and its files and functions; takes seconds."""
    (directory / "web").mkdir()
    yield "last digit -> relay", digit(directory)
    yield from pushed_and_shown(directory / "web")


def main() -> None:
    """Run a web process that counts between SIGUSR1 and SIGUSR2, then writes what it counted."""
    trace, path = Trace(last="PatronCacheWriter.apply"), Path(os.environ[COUNTED_IN])

    def begin(_number: int, _frame: FrameType | None) -> None:
        trace.passed.clear()
        trace.on = True

    def end(_number: int, _frame: FrameType | None) -> None:
        trace.on = False
        written = path.with_suffix(".new")
        written.write_text(json.dumps(sorted(trace.passed)), "utf-8")
        written.rename(path)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    trace.begin()
    doorctl()


if __name__ == "__main__":
    main()
