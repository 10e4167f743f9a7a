"""Web's end of the road to the library system, where a file or a disk fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from doorctl.rpc.control import Answers, ControlServer
from doorctl.rpc.door import LibraryOverSocket
from doorctl.wiring.web import answers_of_library
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryPatrons
from tests.services.branches import configured
from tests.store.samples import key_of, sealed

LONG_S = 20.0
MISSING = "can't be read: No such file or directory"
DAY = date(2026, 3, 1)


def built(
    directory: Path, worker: ThreadPoolExecutor, writer: MemoryPatrons, log: FakeEventLog
) -> Answers:
    """Return what web answers on a branch that asks FBS, with little patience for its disk."""
    config = configured(
        directory,
        "lms.kind=fbs",
        "lms.url=https://127.0.0.1:1/",
        "lms.agency=DK-773000",
        "lms.user=doorctl",
        f"lms.password_file={directory / 'lms.password'}",
    )
    return answers_of_library(config, FakeClock(), log, worker=worker, writer=writer, limit_s=0.05)


def test_without_its_password_web_goes_on(tmp_path: Path) -> None:
    """It answers nothing about cards, and one alarm says which file it is."""
    log = FakeEventLog()
    with ThreadPoolExecutor(1) as worker:
        assert built(tmp_path, worker, MemoryPatrons(), log) == {}

    (line,) = log.lines
    assert (line["kind"], line["why"]) == ("library_silent", f"{tmp_path}/lms.password {MISSING}")


def test_a_disk_that_hangs_keeps_no_thread_of_the_socket(tmp_path: Path) -> None:
    """The door hears that the row was not kept, and it is not kept behind its back.

    Bug (robustness review): a disk that hung held every thread that wrote `branch.db` or kept a
    row for ever.
    """
    (tmp_path / "lms.password").write_text("a-Secret~1\n")
    (tmp_path / "lms.password").chmod(0o600)
    writer, log, gate = MemoryPatrons(), FakeEventLog(), threading.Event()
    with ThreadPoolExecutor(1) as worker:
        worker.submit(gate.wait, LONG_S)
        server = ControlServer(tmp_path / "s", built(tmp_path, worker, writer, log))
        server.start()
        try:
            door = LibraryOverSocket(tmp_path / "s", LONG_S, log)
            door.keep(sealed(1, "ref-1"), row_until=DAY, pin_until=DAY, learnt_on=DAY)
        finally:
            gate.set()
            server.stop()

    (line,) = log.lines
    assert line["kind"] == "not_kept"
    assert line["why"] == "the disk is busy and nothing was changed; try again in a minute"
    assert writer.find(key_of(1)) is None
