"""What door and web say to each other, over real Unix sockets; the library system has a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.panel import AGAIN, Keys, Kind, PanelState, PanelView
from doorctl.access.panel_hours import Opens, Staffed
from doorctl.core.alarms import RaisedAlarm, Source
from doorctl.core.errors import StoreError
from doorctl.core.ports import NotSentError
from doorctl.core.raised import Raised
from doorctl.privacy.erasure import ALL_GONE, HeldVisit, PartErased
from doorctl.privacy.subject import Subject
from doorctl.rpc.alarms import (
    LONGEST_WHY,
    alarm_answers,
    ask_standing,
    send_alarm,
    standing_answers,
)
from doorctl.rpc.client import ask
from doorctl.rpc.messages import LINE_LIMIT, Line
from doorctl.rpc.panel import MOST_WAITING, PanelBoard, PanelOverSocket, panel_answers
from doorctl.rpc.question import Done
from doorctl.rpc.retention import ERASE_RIGHTS, SubjectRequest
from tests.fakes.clock import FakeClock
from tests.fakes.panel import FakePanelDoor
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import serving

# Alarms.

DOORS_S, WEBS_S = 500.0, 9000.0


@pytest.fixture
def heard() -> list[RaisedAlarm]:
    """What web has heard."""
    return []


@pytest.fixture
def web(tmp_path: Path, heard: list[RaisedAlarm]) -> Iterator[Path]:
    """Web's end of the socket."""
    answers = alarm_answers(heard.append, FakeClock(monotonic=WEBS_S))
    with serving(tmp_path / "web.sock", answers) as path:
        yield path


def send(path: Path, heard: RaisedAlarm) -> None:
    """Send an alarm from the door's end."""
    send_alarm(path, FakeClock(monotonic=DOORS_S), heard)


def test_an_alarm_arrives_with_its_age(web: Path, heard: list[RaisedAlarm]) -> None:
    """Kind and words as they are; by web's clock it was as long ago as by the door's."""
    send(web, RaisedAlarm("door_forced", "en ledning", DOORS_S - 30))

    assert heard == [RaisedAlarm("door_forced", "en ledning", WEBS_S - 30, Source.DOOR)]


def test_an_alarm_is_never_of_the_future(web: Path, heard: list[RaisedAlarm]) -> None:
    """Where the clocks disagree, it was now."""
    send(web, RaisedAlarm("door_forced", "", DOORS_S + 30))

    assert heard == [RaisedAlarm("door_forced", "", WEBS_S, Source.DOOR)]


def test_web_that_is_silent_is_told(tmp_path: Path) -> None:
    """The door hears that it did not go, and says nothing of the alarm."""
    with pytest.raises(NotSentError, match="the web process does not answer") as caught:
        send(tmp_path / "web.sock", RaisedAlarm("duress", "a word", DOORS_S))

    assert "duress" not in str(caught.value)


def test_web_that_takes_no_alarms_is_told(tmp_path: Path) -> None:
    """An older web process, or one without [alarms], refuses: the door keeps it a while."""
    with (
        serving(tmp_path / "web.sock", {}) as path,
        pytest.raises(NotSentError, match="not known"),
    ):
        send(path, RaisedAlarm("door_forced", "", DOORS_S))


@given(why=st.text(max_size=2 * LONGEST_WHY), kind=st.text(max_size=200))
def test_any_words_fit_into_a_question(
    web: Path, heard: list[RaisedAlarm], why: str, kind: str
) -> None:
    """Whatever the words are, they arrive, cut where they are long."""
    heard.clear()
    send(web, RaisedAlarm(kind, why, DOORS_S))

    assert heard == [RaisedAlarm(kind[:64], why[:LONGEST_WHY], WEBS_S, Source.DOOR)]


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
def test_what_is_no_alarm_is_refused(
    web: Path, heard: list[RaisedAlarm], about: dict[str, object]
) -> None:
    """Nothing beside kind, words and age is taken; there is no field for a person."""
    with pytest.raises(StoreError, match="that question is not complete"):
        ask(web, Line("alarm", about), timeout_s=LIMIT_S)

    assert heard == []


def test_web_can_ask_what_stands_at_the_door(tmp_path: Path) -> None:
    """Each with its age, by web's own clock, and what would be wrong now."""
    standing = (
        RaisedAlarm("door_held", "a wire", DOORS_S - 60),
        RaisedAlarm("calendar_unknown", "", DOORS_S),
    )
    doors = Raised()
    for alarm in standing:
        doors.hear(alarm)
    doors.find_well("reader_lost")
    answers = standing_answers(lambda: doors, FakeClock(monotonic=DOORS_S))
    with serving(tmp_path / "door.sock", answers) as path:
        found, well = ask_standing(path, FakeClock(monotonic=WEBS_S))

    assert found == (
        RaisedAlarm("door_held", "a wire", WEBS_S - 60, Source.DOOR),
        RaisedAlarm("calendar_unknown", "", WEBS_S, Source.DOOR),
    )
    assert well == {"reader_lost"}


# A person's rights.

WHO = Subject(frozenset({bytes(16), bytes(range(16))}), "p-1")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def erase(path: Path, subject: Subject = WHO, why: str = "sag 2026-17") -> PartErased:
    """Ask the question."""
    return ERASE_RIGHTS.ask(
        path, SubjectRequest.about(subject, "eva", 7, why), timeout_s=LIMIT_S
    ).done


@pytest.mark.parametrize("who", [WHO, Subject(frozenset(), "p-1"), Subject(frozenset({bytes(16)}))])
def test_who_by_whom_and_what_came_of_it_arrive_whole(who: Subject, tmp_path: Path) -> None:
    """The owner erases whoever the command meant, and the command learns what is left."""
    part = PartErased(3, ALL_GONE, 7, (HeldVisit(4, "2026-17", NOON),))
    asked = []

    def work(told: SubjectRequest) -> Done[PartErased]:
        asked.append(told)
        return Done(part)

    with serving(tmp_path / "s", ERASE_RIGHTS.answered(work)) as path:
        assert erase(path, who) == part
    assert asked == [SubjectRequest.about(who, "eva", 7, "sag 2026-17")]
    assert asked[0].subject == who


def test_a_question_shows_nobody() -> None:
    """Neither the question nor what it is about can be printed."""
    assert "p-1" not in repr(Line(ERASE_RIGHTS.name, {"patron_ref": "p-1"}))
    assert "p-1" not in repr(SubjectRequest.about(WHO, "eva", 0))


# The screen and its keys.

SHORT_S = 0.05
TYPING = PanelState(Kind.TYPING, 7, 2, 4, Keys.PIN)
FULL = PanelState(
    Kind.CLOSING, 7, 1, 4, Keys.CODE, 6, 9, 12, False, ((420, 1320),), Opens(1, 4, 420),
    Staffed(0, 3, 600, 900), again=True,
)  # fmt: skip


@dataclass
class Stand:
    """A door that a page looks at, and the hands to move it with."""

    door: PanelOverSocket
    show: Callable[[PanelState], None]
    pressed: list[tuple[str, int]]


@pytest.fixture(params=["fake", "socket"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """The fake, and the real one over a real socket; neither waits long for something new."""
    if request.param == "fake":
        fake = FakePanelDoor(SHORT_S)
        yield Stand(fake, fake.show, fake.pressed)
        return
    board, pressed = PanelBoard(1, SHORT_S), list[tuple[str, int]]()
    answers = panel_answers(board, lambda key, attempt: pressed.append((key, attempt)))
    with serving(tmp_path / "door.sock", answers) as path:
        yield Stand(PanelOverSocket(path, SHORT_S), board.show, pressed)


@pytest.mark.parametrize("state", [TYPING, FULL])
def test_a_state_arrives_as_it_was_shown(stand: Stand, state: PanelState) -> None:
    """Every field of it; and under another number."""
    before = stand.door.look(0)
    stand.show(state)

    after = stand.door.look(before.seq)

    assert after.state == state
    assert after.seq != before.seq


def test_who_knows_the_latest_waits(stand: Stand) -> None:
    """After a while the same view comes again, so that nobody waits on a dead line."""
    known = stand.door.look(0)

    assert stand.door.look(known.seq) == known


@pytest.mark.parametrize("key", ["0", "5", "9", "#", "*", AGAIN])
def test_a_key_arrives(stand: Stand, key: str) -> None:
    """With the attempt that it was meant for."""
    stand.door.press(key, 7)

    assert stand.pressed == [(key, 7)]


def test_whoever_waits_hears_at_once() -> None:
    """A look that waits ends by what is shown next."""
    board = PanelBoard(1, LIMIT_S)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(board.look, 1)
        board.show(TYPING)
        assert waiting.result(LIMIT_S).state == TYPING


def test_few_may_wait() -> None:
    """One more, and whoever has waited longest is answered: no page can use up the threads."""
    board = PanelBoard(1, LIMIT_S)
    with ThreadPoolExecutor(MOST_WAITING + 1) as threads:
        looks = [threads.submit(board.look, 1) for _ in range(MOST_WAITING + 1)]
        answered, waiting = wait(looks, LIMIT_S, FIRST_COMPLETED)
        board.show(TYPING)

        assert [one.result().state.kind for one in answered] == [Kind.WORKING]
        assert {one.result(LIMIT_S).state.kind for one in waiting} == {Kind.TYPING}


def test_nobody_who_waits_holds_the_door() -> None:
    """A page that hangs in the middle of a look holds no lock that the loop needs."""
    board = PanelBoard(1, LIMIT_S)
    waiting = threading.Thread(target=board.look, args=(1,), daemon=True)
    waiting.start()

    for _ in range(1000):
        board.show(TYPING)
    waiting.join(LIMIT_S)
    assert board.look(0).seq == 1001


@given(st.lists(st.builds(PanelState, st.sampled_from(Kind), st.integers(0, 9)), min_size=1))
def test_numbers_only_grow(states: list[PanelState]) -> None:
    """Whatever is shown, the latest stands under a number of its own."""
    board = PanelBoard(5)
    for place, state in enumerate(states, 1):
        board.show(state)
        assert board.look(0) == PanelView(5 + place, state)
