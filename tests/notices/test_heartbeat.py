"""The hourly question to a dead-man's switch, over real HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from doorctl.core.errors import NotAnsweringError
from doorctl.notices.ways import DeadMansSwitch
from doorctl.services.alarms import BEAT_AFTER_S, BEAT_EVERY_S, BEAT_TURN_S, Heartbeat
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.sources.branch_server import Script, serving


class Beating:
    """A heartbeat whose switch answers to order, and a door that decides or not."""

    def __init__(self, port: int, script: Script) -> None:
        self.script, self.decides = script, True
        self.clock, self.log = FakeClock(), FakeEventLog()
        self.switch = DeadMansSwitch(f"http://127.0.0.1:{port}/0f3a", ssl.create_default_context())
        self._beating = Heartbeat(self._well, self.switch.beat, self.clock, self.log)

    def _well(self) -> None:
        if not self.decides:
            raise NotAnsweringError("the door")

    def after(self, seconds: float) -> int:
        """Turn as often as the thread does for so long; return how often the switch was asked."""
        for _ in range(round(seconds / BEAT_TURN_S)):
            self.clock.advance(BEAT_TURN_S)
            assert self._beating.turn()
        return len(self.script.requests)


@pytest.fixture
def beating() -> Iterator[Beating]:
    """Give one whose web process has just begun."""
    script = Script()
    with serving(script) as port:
        beating = Beating(port, script)
        yield beating
        beating.switch.close()


def test_it_is_asked_each_hour_with_nothing_in_it(beating: Beating) -> None:
    """Not at the start: a web process that dies at once, again and again, must not look well."""
    assert beating.after(BEAT_AFTER_S - BEAT_TURN_S) == 0
    assert beating.after(BEAT_TURN_S) == 1
    assert beating.after(BEAT_EVERY_S - BEAT_TURN_S) == 1
    assert beating.after(BEAT_TURN_S) == 2

    assert {(method, path, body) for method, path, body, _ in beating.script.requests} == {
        ("GET", "/0f3a", b"")
    }


def test_a_door_that_does_not_decide_is_not_called_well(beating: Beating) -> None:
    """Until it does again; then at once, for somebody is on the way."""
    beating.decides = False
    assert beating.after(2 * BEAT_EVERY_S) == 0
    beating.decides = True

    assert beating.after(BEAT_TURN_S) == 1
    assert beating.log.lines == []


def test_a_switch_that_fails_is_told_once_and_asked_again(beating: Beating) -> None:
    """Each minute; the alarm does not quote the address, which is a secret."""
    beating.script.status = 500
    assert beating.after(BEAT_AFTER_S) == 1
    assert beating.after(3 * BEAT_TURN_S) == 4
    beating.script.status = 200
    assert beating.after(BEAT_EVERY_S) == 5

    (line,) = beating.log.lines
    assert line["kind"] == "alarm_not_sent"
    assert line["why"] == "the heartbeat answers with HTTP status 500"
