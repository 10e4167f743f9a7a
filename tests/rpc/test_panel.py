"""The screen's state and its keys between the two processes, and what a page may lean on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.panel import (
    AGAIN,
    Keys,
    Kind,
    Opens,
    PanelState,
    PanelView,
    Staffed,
)
from doorctl.rpc.control import ControlServer
from doorctl.rpc.door import MOST_WAITING, PanelBoard, PanelOverSocket, panel_answers
from tests.fakes.panel import FakePanelDoor

LIMIT_S = 20.0
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
    go_away: Callable[[], None]
    pressed: list[tuple[str, int]]


@pytest.fixture(params=["fake", "socket"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """The fake, and the real one over a real socket; neither waits long for something new."""
    if request.param == "fake":
        fake = FakePanelDoor(SHORT_S)
        yield Stand(fake, fake.show, fake.go_away, fake.pressed)
        return
    with ExitStack() as stack:
        board, pressed = PanelBoard(1, SHORT_S), list[tuple[str, int]]()
        path = tmp_path / "door.sock"
        server = ControlServer(
            path, panel_answers(board, lambda key, attempt: pressed.append((key, attempt)))
        )
        server.start()
        stack.callback(server.stop)
        yield Stand(PanelOverSocket(path, SHORT_S), board.show, server.stop, pressed)


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
