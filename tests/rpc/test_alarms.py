"""Alarms from the door to web, over a real Unix socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.alarms import RaisedAlarm, Source
from doorctl.core.ports import NotSentError
from doorctl.rpc.control import LINE_LIMIT, ControlServer
from doorctl.rpc.door import (
    LONGEST_WHY,
    AlarmsOverSocket,
    alarm_answers,
    ask_standing,
    standing_answers,
)
from tests.fakes.clock import FakeClock
from tests.rpc.serving import serving

DOORS_S, WEBS_S = 500.0, 9000.0


class Web:
    """Web's end of the road, and what it heard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[RaisedAlarm] = []
        answers = alarm_answers(self.heard.append, FakeClock(monotonic=WEBS_S))
        self.server = ControlServer(path, answers)
        self.server.start()

    def said(self, question: bytes) -> object:
        """Send it a line as it stands and return its answer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.path))
            line.sendall(question + b"\n")
            return json.loads(line.makefile("rb").readline())


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """Return web's end."""
    web = Web(tmp_path / "web.sock")
    yield web
    web.server.stop()


def road(path: Path) -> AlarmsOverSocket:
    """Return the door's end."""
    return AlarmsOverSocket(path, FakeClock(monotonic=DOORS_S))


def test_an_alarm_arrives_with_its_age(web: Web) -> None:
    """Kind and words as they are; by web's clock it was as long ago as by the door's."""
    road(web.path).send(RaisedAlarm("door_forced", "en ledning", DOORS_S - 30))

    assert web.heard == [RaisedAlarm("door_forced", "en ledning", WEBS_S - 30, Source.DOOR)]


def test_an_alarm_is_never_of_the_future(web: Web) -> None:
    """Where the clocks disagree, it was now."""
    road(web.path).send(RaisedAlarm("door_forced", "", DOORS_S + 30))

    assert web.heard == [RaisedAlarm("door_forced", "", WEBS_S, Source.DOOR)]


def test_web_that_is_silent_is_told(tmp_path: Path) -> None:
    """The door hears that it did not go, and says nothing of the alarm."""
    with pytest.raises(NotSentError, match="the web process does not answer") as caught:
        road(tmp_path / "web.sock").send(RaisedAlarm("duress", "a word", DOORS_S))

    assert "duress" not in str(caught.value)


def test_web_that_takes_no_alarms_is_told(tmp_path: Path) -> None:
    """An older web process, or one without [alarms], refuses: the door keeps it a while."""
    with (
        serving(tmp_path / "web.sock", {}) as path,
        pytest.raises(NotSentError, match="not known"),
    ):
        road(path).send(RaisedAlarm("door_forced", "", DOORS_S))


@pytest.fixture(scope="module")
def one_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Return a web's end that many examples share."""
    web = Web(tmp_path_factory.mktemp("web") / "web.sock")
    yield web
    web.server.stop()


@given(why=st.text(max_size=2 * LONGEST_WHY), kind=st.text(max_size=200))
def test_any_words_fit_into_a_question(one_web: Web, why: str, kind: str) -> None:
    """Whatever the words are, they arrive, cut where they are long."""
    one_web.heard.clear()
    road(one_web.path).send(RaisedAlarm(kind, why, DOORS_S))

    assert one_web.heard == [RaisedAlarm(kind[:64], why[:LONGEST_WHY], WEBS_S, Source.DOOR)]


def test_the_longest_question_fits() -> None:
    """The characters that JSON makes longest still fit into one line of the socket."""
    about = {"kind": "k" * 64, "why": "\x00" * LONGEST_WHY, "ago_s": 1e15}

    assert len(json.dumps({"ask": "alarm", "about": about})) < LINE_LIMIT


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"kind": 5},
        {"kind": "a" * 65},
        {"kind": "stalled", "ago_s": -1},
        {"kind": "stalled", "card": "3000001234"},
        {"kind": "stalled", "why": "x" * (LONGEST_WHY + 1)},
    ],
)
def test_what_is_no_alarm_is_refused(web: Web, about: dict[str, object]) -> None:
    """Nothing beside kind, words and age is taken; there is no field for a person."""
    answer = web.said(json.dumps({"ask": "alarm", "about": about}).encode())

    assert answer == {"error": "that question is not complete"}
    assert web.heard == []


def test_web_can_ask_what_stands_at_the_door(tmp_path: Path) -> None:
    """Each with its age, by web's own clock."""
    standing = (
        RaisedAlarm("door_held", "a wire", DOORS_S - 60),
        RaisedAlarm("calendar_unknown", "", DOORS_S),
    )
    answers = standing_answers(lambda: standing, FakeClock(monotonic=DOORS_S))
    with serving(tmp_path / "door.sock", answers) as path:
        found = ask_standing(path, FakeClock(monotonic=WEBS_S))

    assert found == (
        RaisedAlarm("door_held", "a wire", WEBS_S - 60, Source.DOOR),
        RaisedAlarm("calendar_unknown", "", WEBS_S, Source.DOOR),
    )
