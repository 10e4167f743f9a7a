"""A card that its reader reads again and again, as imagers do with a phone that is held there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from doorctl.access.messages import PadRules, Rules
from doorctl.access.panel import Kind, PanelRules
from doorctl.access.policy import Policy
from doorctl.devices.lines import READER, BytesReceived
from doorctl.doord.controller import ANSWER_S, STAYS_S
from doorctl.doord.loop_events import PanelKeyPressed
from tests.doord.fake_door import (
    CARD,
    OTHER_CARD,
    RIGHT_PIN,
    WRONG_PIN,
    FakeDoor,
    key_of,
    swiped,
)

FORMS = {
    "text": b"%s\r",
    "text and CR LF": b"%s\r\n",
    "barcode": b"]C0%s\r",
    "stripe": b";%s?\r",
    "framed": b"\x02%s\x03",
}
"""What a reader may send of a plastic card; all of them mean the same."""

HELD_S = 12.0
"""How long a phone is held: from 4 s before the answer to more than 5 s after it."""


def on_screen(door: FakeDoor, key: str) -> None:
    """Press a key on the screen, for the attempt that it shows."""
    door.controller.handle(PanelKeyPressed(key, door.panel.shown[-1].attempt))


KEYS: dict[str, tuple[bool, PanelRules, Callable[[FakeDoor, str], None]]] = {
    "reader's line": (True, PanelRules(), FakeDoor.types),
    "keypad": (False, PanelRules(), FakeDoor.types),
    "screen": (True, PanelRules(keys=True), on_screen),
}
"""Where the keys are."""


def hold(
    door: FakeDoor,
    every_s: float,
    pin: str,
    *,
    form: bytes = FORMS["text"],
    press: Callable[[FakeDoor, str], None] = FakeDoor.types,
    until_s: float = HELD_S,
) -> None:
    """Hold a phone there, and type a digit each second from 1.15 s on; the worker takes 0.4 s."""
    began_s = door.clock.monotonic_s()
    readings = [(at * every_s, "") for at in range(int(until_s / every_s) + 1)]
    keys = [(1.15 + at, key) for at, key in enumerate(pin)]
    for at_s, key in sorted([*readings, *keys, (0.4, "work")]):
        door.wait(max(0.0, began_s + at_s - door.clock.monotonic_s()))
        if key == "work":
            door.work()
        elif key:
            press(door, key)
        else:
            door.says(form % CARD.encode())
    door.wait(0.1)
    door.work()


@pytest.mark.parametrize("line", KEYS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("every_s", [0.3, 0.6, 1.0, 2.0])
def test_a_phone_that_is_held_there_gets_in(line: str, form: str, every_s: float) -> None:
    """One attempt, one row, one pulse; it may stay there for seconds after the answer.

    Bug (mission review): a reader that repeats a phone threw what was typed away each time, and
    made one more refused row of it.
    """
    carries_keys, panel, press = KEYS[line]
    door = FakeDoor(carries_keys=carries_keys, panel_rules=panel)
    hold(door, every_s, RIGHT_PIN, form=FORMS[form], press=press, until_s=9.0)

    typed = [state.typed for state in door.panel.shown if state.kind is Kind.TYPING]
    assert typed == sorted(typed)
    assert (door.reasons, door.outcomes) == (["ok"], ["ok"])
    door.wait(100.0)
    door.work()
    assert (door.outcomes, len(door.relay.edges)) == (["ok"], 2)
    assert door.visits.card_throttle(key_of(CARD)).failures == 0
    assert not door.log.named("alarm")


@pytest.mark.parametrize("form", FORMS)
def test_a_key_just_before_a_repeat_is_a_key(form: str) -> None:
    """On the reader's own line, within the burst of the card's digits: a key, and the same card."""
    door = FakeDoor(carries_keys=True)
    door.says(FORMS[form] % CARD.encode())
    door.work()
    door.wait(1.0)
    door.types(RIGHT_PIN[:2])
    door.says(RIGHT_PIN[2].encode() + FORMS[form] % CARD.encode())
    door.wait(0.1)
    door.types(RIGHT_PIN[3])
    door.work()

    assert (door.reasons, door.outcomes) == (["ok"], ["ok"])


def test_a_refused_phone_tries_again_by_its_first_digit() -> None:
    """It need not leave: after a wrong PIN the next one is typed, and that is a new attempt."""
    for carries_keys in (False, True):
        door = FakeDoor(carries_keys=carries_keys)
        hold(door, 0.6, WRONG_PIN + RIGHT_PIN)

        assert door.reasons == ["wrong_pin", "ok"]
        assert door.outcomes == ["wrong_pin", "ok"]


def test_what_was_refused_stays_on_the_screen_while_the_phone_does() -> None:
    """For as long as a welcome stands; then the next reading asks for a PIN again."""
    door = FakeDoor(panel_rules=PanelRules(keys=True))
    hold(door, 0.6, WRONG_PIN, until_s=4.2 + ANSWER_S - 0.7)
    assert [state.kind for state in door.panel.shown][-1:] == [Kind.REFUSED]

    door.wait(1.0)
    door.swipe(CARD)
    door.wait(1.0)
    door.swipe(CARD)
    door.wait(0.0)
    assert door.panel.shown[-1].kind is Kind.CARD_READ
    assert door.panel.shown[-1].attempt == 2


def test_a_phone_that_is_left_there_makes_a_row_a_minute() -> None:
    """Neither an attempt that is open for ever nor a log that is full of it; none is charged."""
    door = FakeDoor()
    for _ in range(600):
        door.swipe(CARD)
        door.work()
        door.wait(0.6)

    assert door.reasons == ["pin_timeout"] * 5
    assert door.visits.card_throttle(key_of(CARD)).failures <= 1


def test_a_phone_where_no_pin_is_asked_for_opens_once() -> None:
    """It opens again when it has left, or has stayed for longer than anybody takes to come in."""
    door = FakeDoor(Rules(Policy(require_pin=False), PadRules()))
    for _ in range(10):
        door.present(CARD)
        door.wait(0.5)
    assert door.reasons == ["ok"]

    door.wait(STAYS_S)
    door.present(CARD)
    assert door.reasons == ["ok", "ok"]
    for _ in range(14):
        door.wait(0.5)
        door.present(CARD)
    assert door.reasons == ["ok"] * 3


@pytest.mark.parametrize("pin", [RIGHT_PIN, WRONG_PIN])
def test_a_card_that_is_swiped_again_after_the_answer_begins_at_once(
    door: FakeDoor, pin: str
) -> None:
    """It was read once, so nothing repeats it: its patron does, and the right PIN opens."""
    door.visit(CARD, pin)
    door.wait(0.6)
    door.visit(CARD, RIGHT_PIN)

    assert door.outcomes == ["ok" if pin == RIGHT_PIN else "wrong_pin", "ok"]


def test_another_card_waits_for_no_phone(door: FakeDoor) -> None:
    """The next patron is asked for their PIN at once, and brings nothing of the phone's attempt."""
    hold(door, 0.6, RIGHT_PIN, until_s=4.3)
    assert door.visit(OTHER_CARD, RIGHT_PIN) == "ok"

    hold(door, 0.6, "47", until_s=3.0)
    assert door.visit(OTHER_CARD, "1147") == "wrong_pin"
    assert door.outcomes == ["ok", "ok", "pin_timeout", "wrong_pin"]


def test_who_comes_along_may_be_said_while_the_phone_is_still_there() -> None:
    """The key says how many, and begins no attempt."""
    door = FakeDoor(Rules(Policy(companions_max=3), PadRules()))
    hold(door, 0.6, RIGHT_PIN + "2", until_s=9.0)

    assert [line["count"] for line in door.log.named("companions")] == [2]
    assert door.outcomes == ["ok"]


def test_a_flood_of_one_card_is_one_attempt(door: FakeDoor) -> None:
    """A reader that sends without a pause fills no queue, and its card's PIN opens."""
    for _ in count():
        door.controller.handle(BytesReceived(READER, swiped(CARD)))
        door.clock.advance(0.01)
        if door.clock.monotonic_s() > 1010.0:
            break
    assert door.worker.backlog() == 1
    door.work()
    door.types(RIGHT_PIN)
    door.work()

    assert door.outcomes == ["ok"]
