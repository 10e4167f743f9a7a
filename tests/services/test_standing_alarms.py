"""Alarms that stand: what staff do about them, and how web stays right about the door's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from doorctl.config import Config
from doorctl.core.alarms import AlarmRecord, RaisedAlarm, Source
from doorctl.core.errors import StoreError
from doorctl.core.ports import EventLog
from doorctl.notices.sending import Notifier
from doorctl.rpc.control import Answers, ControlServer
from doorctl.services.alarms import DoorsAlarms, StandingAlarms, WebsAlarms
from doorctl.services.app import App
from doorctl.services.branch import BranchThread
from doorctl.services.support import status
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import until
from tests.services.branches import initialised

LONG_S = 20.0
MINUTE = timedelta(minutes=1)


@dataclass
class Site:
    """A web process's alarms on a real ``branch.db``, without the rest of web."""

    config: Config
    clock: FakeClock
    log: FakeEventLog
    stack: ExitStack
    desk: StandingAlarms
    alarms: WebsAlarms

    def kinds(self) -> set[str]:
        """Return what stands."""
        return {one.kind for one in self.desk.standing()}


def site(
    config: Config,
    clock: FakeClock,
    stack: ExitStack,
    *,
    ways: tuple[Notifier, ...] = (),
    desk: type[BranchThread] = BranchThread,
) -> Site:
    """Begin web's alarms."""
    log = FakeEventLog()
    alarms = WebsAlarms(config, log, clock, stack, {})
    for way in ways:
        alarms.ways.append(way)
    branch = desk(App(config, clock))
    stack.callback(branch.close)
    server = ControlServer(config.web.socket, alarms.answers)
    server.start()
    stack.callback(server.stop)
    return Site(config, clock, log, stack, alarms.kept_in(branch, stack), alarms)


def door(config: Config, clock: FakeClock, stack: ExitStack) -> EventLog:
    """Begin a door that answers web, and return its log."""
    alarms = DoorsAlarms(config, FakeEventLog(), clock, stack)
    answers: Answers = {"status": lambda _question: {}, **alarms.answers}
    server = ControlServer(config.control.socket, answers)
    server.start()
    stack.callback(server.stop)
    return alarms.log


def test_the_most_urgent_comes_first() -> None:
    """And of these the one that stands longest."""
    kinds = ("push_approved", "stalled", "door_held", "inputs_failing")
    records = [AlarmRecord(kind, Source.DOOR, START, START, 1, "") for kind in kinds]
    kept: Any = SimpleNamespace(standing=lambda: records)
    desk = StandingAlarms(kept, kept, print, lambda: True)

    order = [standing.kind for standing in desk.standing()]
    assert order == ["door_held", "inputs_failing", "stalled", "push_approved"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    """Web's alarms without mail and webhook."""
    with ExitStack() as stack:
        yield site(initialised(tmp_path), FakeClock(), stack)


def test_the_doors_alarms_reach_the_table_where_no_mail_is_set_up(web: Site) -> None:
    """The road is always there; a call for help has no words, and others have no numbers."""
    log = door(web.config, web.clock, web.stack)
    log.emit("alarm", kind="duress", why="a word")
    log.emit("alarm", kind="inputs_failing", why="card 3000001234 on pin 7")
    log.emit("alarm", kind="not_on_the_list", why="")
    until(lambda: web.kinds() == {"duress", "inputs_failing", "unlisted"})

    why = {one.kind: (one.source, one.why) for one in web.desk.standing()}
    assert why["duress"] == (Source.DOOR, "")
    assert "3000001234" not in why["inputs_failing"][1]
    assert why["unlisted"] == (Source.DOOR, "not_on_the_list: ")


def test_what_stands_is_told_when_web_comes_later(tmp_path: Path) -> None:
    """A door that was alone for a night has more alarms than wait; what stands is asked for."""
    config, clock = initialised(tmp_path), FakeClock()
    with ExitStack() as stack:
        log = door(config, clock, stack)
        log.emit("alarm", kind="visit_log_failing", why="the disk is full")
        for _ in range(200):
            log.emit("alarm", kind="stalled")
        clock.advance(3600)
        web = site(config, clock, stack)
        until(lambda: "visit_log_failing" in web.kinds())

        (standing,) = (one for one in web.desk.standing() if one.kind == "visit_log_failing")
    assert (standing.since, standing.why) == (START, "the disk is full")


def test_a_silent_door_that_answers_is_silent_no_more(tmp_path: Path) -> None:
    """Web may have begun anew in between, and would never tell the end of it."""
    config, clock = initialised(tmp_path), FakeClock()
    with ExitStack() as stack:
        web = site(config, clock, stack)
        web.alarms.log.emit("alarm", kind="door_silent")
        until(lambda: web.kinds() == {"door_silent"})
    clock.advance(3600)
    with ExitStack() as stack:
        door(config, clock, stack)
        web = site(config, clock, stack)
        until(lambda: web.kinds() == set())


class Listener(Notifier):
    """A way out that says what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hear(self, heard: RaisedAlarm) -> None:
        """Keep an alarm."""
        self.told.append(heard.kind)

    def silence(self, kind: str) -> None:
        """Keep that a kind is silenced."""
        self.told.append(f"silence {kind}")

    def listen(self, kind: str) -> None:
        """Keep that a kind is not silenced any more."""
        self.told.append(f"listen {kind}")


def test_ways_out_are_told_what_was_acknowledged_and_what_is_over(web: Site) -> None:
    """By the end at the latest they send again."""
    way = Listener()
    web.alarms.ways.append(way)
    web.alarms.log.emit("alarm", kind="door_held")
    until(lambda: web.kinds() == {"door_held"})
    web.desk.acknowledge("door_held", "grethe")
    web.alarms.log.emit("alarm", kind="door_held_cleared")
    until(lambda: "listen door_held" in way.told)

    assert way.told == ["door_held", "silence door_held", "door_held_cleared", "listen door_held"]


def test_a_table_that_can_not_be_written_is_told_once(tmp_path: Path) -> None:
    """The log never waits for it; what is to be kept waits."""
    config = initialised(tmp_path)
    config.storage.branch_db.unlink()
    with ExitStack() as stack:
        web = site(config, FakeClock(), stack)
        for _ in range(3):
            web.alarms.log.emit("alarm", kind="stalled")
        until(lambda: len(web.log.lines) == 4)

        kinds = [str(line["kind"]) for line in web.log.lines]
        assert sorted(kinds) == ["branch_failing", "stalled", "stalled", "stalled"]
        with pytest.raises(StoreError):
            web.desk.standing()


def test_what_was_acknowledged_stays_silent_when_web_begins_anew(tmp_path: Path) -> None:
    """Who has seen it is in the table, and a restart at night wakes nobody again."""
    config, clock, way = initialised(tmp_path), FakeClock(), Listener()
    with ExitStack() as stack:
        web = site(config, clock, stack)
        web.alarms.log.emit("alarm", kind="door_held")
        web.alarms.log.emit("alarm", kind="inputs_failing")
        until(lambda: web.kinds() == {"door_held", "inputs_failing"})
        web.desk.acknowledge("door_held", "grethe")
    with ExitStack() as stack:
        site(config, clock, stack, ways=(way,))

    assert way.told == ["silence door_held"]


def test_a_failing_table_is_not_told_twice(tmp_path: Path) -> None:
    """Where the file could not be opened at the start, that it can't be written is no news."""
    tried = Event()

    class Failing(BranchThread):
        """A desk that can do nothing, and says that it was asked twice."""

        asked = 0

        def run(self, use: Callable[..., Any]) -> Any:  # noqa: ARG002
            """Fail."""
            Failing.asked += 1
            if Failing.asked == 2:
                tried.set()
            raise StoreError("the disk is broken")

    with ExitStack() as stack:
        web = site(initialised(tmp_path), FakeClock(), stack, desk=Failing)
        web.alarms.log.emit("alarm", kind="branch_failing")
        until(lambda: Failing.asked == 1)
        # Urgent, so it is tried at once; by then what failed the first time has been told.
        web.alarms.log.emit("alarm", kind="door_held")
        assert tried.wait(LONG_S)

        assert [line["kind"] for line in web.log.lines] == ["branch_failing", "door_held"]


def test_status_tells_what_stands(web: Site) -> None:
    """Whoever is at the machine need not read the journal."""
    web.alarms.log.emit("alarm", kind="door_held")
    until(lambda: web.kinds() == {"door_held"})

    assert status(App.of(web.config))["alarms"] == [
        {"kind": "door_held", "since": "2026-03-02T19:00:00+01:00"}
    ]
    web.config.storage.branch_db.write_bytes(b"no database")
    assert status(App.of(web.config))["alarms"] is None


def test_status_tells_what_the_door_says_beside_the_table(web: Site) -> None:
    """Each kind once, as long as the table knows it; the door's own where the table is gone."""
    web.alarms.log.emit("alarm", kind="door_held")
    until(lambda: web.kinds() == {"door_held"})
    now = "2026-03-02T19:05:00+01:00"
    doors = [{"kind": kind, "since": now} for kind in ("door_held", "reader_lost")]
    server = ControlServer(
        web.config.control.socket, {"status": lambda _question: {"alarms": doors}}
    )
    server.start()
    web.stack.callback(server.stop)

    assert status(App.of(web.config))["alarms"] == [
        {"kind": "door_held", "since": "2026-03-02T19:00:00+01:00"},
        {"kind": "reader_lost", "since": now},
    ]
    web.config.storage.branch_db.write_bytes(b"no database")
    assert status(App.of(web.config))["alarms"] == doors
