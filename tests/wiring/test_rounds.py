"""The web process's rounds as they are built: real threads, files, commands and a website."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.access.calendar import DaySource, StoredCalendar
from doorctl.config import Config, load
from doorctl.services.hours import calendar_of
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, open_or_create_branch
from doorctl.wiring.web import go_rounds
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.sources.website_server import WebsiteScript, item, serving

LONG_S = 60.0
"""Only a failing test waits so long."""

BASE = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
isil = "DK-773000"
[storage]
directory = "."
[reader]
port = "/dev/x"
[keypad]
port = "/dev/y"
[gpio]
factory = "mock"
relay_pin = 17
"""
OPEN = """
[hours]
monday = ["08:00-22:00"]
"""


class Watched(FakeEventLog):
    """A log that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Keep one line."""
        super().emit(event, **fields)
        self.heard.set()


class Web:
    """What the web process gives its rounds: a clock, a log, and one thread for the store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.log = Watched()
        self.written = threading.Event()

    def config(self, toml: str) -> Config:
        """Load a configuration."""
        path = self.directory / "doorctl.toml"
        path.write_text(BASE + toml, encoding="utf-8")
        return load(path, (), {})

    @contextmanager
    def running(self, config: Config) -> Iterator[None]:
        """Go the rounds until the end of the block."""
        with ThreadPoolExecutor(1) as worker:
            writer = worker.submit(open_or_create_branch, config.storage.branch_db).result()

            def write(job: Callable[[BranchRecordsWriter], object]) -> None:
                worker.submit(job, writer).result()
                self.written.set()

            with ExitStack() as stack:
                go_rounds(config, self.clock, self.log, write, stack)
                yield
            worker.submit(writer.close).result()

    def stored(self, config: Config) -> StoredCalendar:
        """Return what is stored."""
        with closing(BranchRecords(config.storage.branch_db)) as branch:
            return branch.calendar()


@pytest.fixture
def web(tmp_path: Path) -> Web:
    """Return a web process without its server."""
    return Web(tmp_path)


def await_text(file: Path, text: str) -> None:
    """Wait until a file says something."""
    for _ in range(int(LONG_S / 0.02)):
        if file.exists() and file.read_text() == text:
            return
        threading.Event().wait(0.02)
    raise AssertionError(file.read_text() if file.exists() else "there is no such file")


def threads() -> set[str]:
    """Return the names of the threads."""
    return {one.name for one in threading.enumerate()}


def test_the_websites_hours_reach_the_file(web: Web) -> None:
    """Asked over HTTP on one thread, stored on another, read back as the door does."""
    today = START.date()
    script = WebsiteScript([item(today + timedelta(days=one)) for one in range(20)])
    with serving(script) as url:
        config = web.config(
            f'[hours]\nsource = "website"\nwebsite_url = "{url}"\nwebsite_branch = "12"\n'
        )
        with web.running(config):
            assert web.written.wait(LONG_S)

    calendar = calendar_of(config.opening, web.stored(config))
    assert calendar.known_until == today + timedelta(days=14)
    assert calendar.mode_at(web.clock.moment().local) is not None
    assert web.log.lines == []
    assert "hours" not in threads()


def test_holidays_reach_the_file(web: Web) -> None:
    """Computed in a process of their own and stored at the start."""
    config = web.config(f'{OPEN}holidays = "closed"\n')
    with web.running(config):
        assert web.written.wait(LONG_S)

    said = web.stored(config).sources[DaySource.HOLIDAY]
    assert {"Juledag", "Nytårsdag"} < {one.note for one in said.days}


def test_a_command_is_told_on_or_off(web: Web) -> None:
    """Behind its own arguments; an output on a pin is the door's and is left alone."""
    told = web.directory / "told"
    script = web.directory / "switch"
    script.write_text('#!/bin/sh\necho "$*" >"$1"\n')
    script.chmod(0o700)
    config = web.config(
        f'{OPEN}[[outputs]]\nname = "pcs"\ncommand = ["{script}", "{told}"]\n'
        'modes = ["self_service"]\n[[outputs]]\nname = "light"\npin = 12\nmodes = ["closed"]\n'
    )
    with web.running(config):
        await_text(told, f"{told} on\n")
        web.clock.advance(3 * 3600.0)
        await_text(told, f"{told} off\n")

    assert web.log.lines == []


def test_a_command_that_fails_is_an_alarm(web: Web) -> None:
    """With the output's name and why."""
    config = web.config(
        f'{OPEN}[[outputs]]\nname = "pcs"\ncommand = ["/bin/false"]\nmodes = ["closed"]\n'
    )
    with web.running(config):
        assert web.log.heard.wait(LONG_S)

    line = {"event": "alarm", "kind": "output_failing", "why": "pcs: it ended with 1"}
    assert web.log.lines == [line]


@pytest.mark.parametrize("toml", ["", OPEN, f'{OPEN}holidays = "ignore"\n'])
def test_where_nothing_is_wanted_nothing_runs(web: Web, toml: str) -> None:
    """Hours of the configuration or of staff need no round, and no thread."""
    config = web.config(toml)
    before = threads()
    with ExitStack() as stack:
        go_rounds(config, web.clock, web.log, lambda _job: None, stack)
        assert threads() == before
