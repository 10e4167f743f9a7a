"""What the screen at the door shows while people come, and the keys that are pressed on it."""

from __future__ import annotations

import queue
from contextlib import nullcontext

import pytest

from doorctl.access.calendar import Calendar
from doorctl.access.messages import PadRules, Rules
from doorctl.access.panel import (
    AGAIN,
    CALL,
    CALL_REST_S,
    CARD_FIRST,
    HELP,
    HELP_KEYS,
    NOT_PROVED,
    OURS,
    WELCOME_S,
    Keys,
    Kind,
    PanelRules,
    PanelState,
)
from doorctl.access.policy import Policy
from doorctl.core.errors import InputError, StuckError
from doorctl.devices.lines import READER, BytesReceived, LineConnected, LineLost
from doorctl.doord.controller import MOST_PENDING, STALE_S, STALL_LIMIT_S, press
from doorctl.doord.loop_events import EventQueue, PanelKeyPressed, PinsTouched, StopRequested
from doorctl.doord.slow_jobs import BACKLOG_LIMIT
from tests.doord.fake_door import (
    CARD,
    OTHER_CARD,
    RELEASE_S,
    RIGHT_PIN,
    UNKNOWN_CARD,
    WRONG_PIN,
    FakeDoor,
)
from tests.fakes.loop import FakeQueue

KEYS = PanelRules(keys=True)
BEGUN_S = 1000.0
"""When the door begins, by its clock."""
ONLY_READER = frozenset({READER})
CLOSED_WEEK = Calendar(((),) * 7)


def watched(rules: Rules | None = None, *, calendar: Calendar | None = None) -> FakeDoor:
    """Return a door with a screen that has keys, at which nothing was shown yet."""
    door = FakeDoor(
        rules=rules or Rules(Policy(), PadRules()),
        panel_rules=KEYS,
        lines=ONLY_READER,
        carries_keys=True,
        calendar=calendar or Calendar(),
    )
    door.connect()
    door.wait(0.0)
    door.panel.shown.clear()
    return door


def kinds(door: FakeDoor) -> list[Kind]:
    """Return which pictures were shown since, in order."""
    return [state.kind for state in door.panel.shown]


def swipe(door: FakeDoor, number: str) -> int:
    """Swipe a card, have it looked up, and return the attempt that the screen shows."""
    door.swipe(number)
    door.wait(0.0)
    door.work()
    return door.panel.shown[-1].attempt


def tap(door: FakeDoor, pressed: str, attempt: int) -> None:
    """Press keys on the screen."""
    for key in pressed:
        door.controller.handle(PanelKeyPressed(key, attempt))
        door.wait(0.0)


def test_a_grant_is_shown_step_by_step() -> None:
    """Card, each digit as a dot, welcome, and the idle screen after its time."""
    door = watched()
    tap(door, RIGHT_PIN, swipe(door, CARD))
    door.wait(WELCOME_S)

    assert door.reasons == ["ok"]
    assert kinds(door) == [Kind.CARD_READ, *[Kind.TYPING] * 3, *[Kind.WELCOME] * 2, Kind.IDLE]
    assert [state.locks_s for state in door.panel.shown[4:]] == [
        BEGUN_S + RELEASE_S, None, None,
    ]  # fmt: skip
    assert [state.typed for state in door.panel.shown[:4]] == [0, 1, 2, 3]
    assert door.panel.shown[0].keys is Keys.PIN


def test_the_screen_comes_after_the_relay() -> None:
    """The door is open before anybody is told."""
    door = watched()
    attempt = swipe(door, CARD)
    for key in RIGHT_PIN:
        door.controller.handle(PanelKeyPressed(key, attempt))

    assert door.relay.energised
    assert Kind.WELCOME not in kinds(door)


def test_refusals_before_a_proof_are_shown_alike() -> None:
    """An unknown card, a wrong PIN: the same states, one by one, at the same times.

    A time-out is the same refusal, and the next card ends it. What does not change is shown once.
    """
    seen = []
    for number in (UNKNOWN_CARD, CARD):
        door = watched()
        tap(door, WRONG_PIN, swipe(door, number))
        door.wait(KEYS.message_s - 0.1)
        assert kinds(door)[-1] is Kind.REFUSED
        door.wait(0.1)
        seen.append(list(door.panel.shown))

    assert seen[0] == seen[1]
    assert [state.kind for state in seen[0]][-2:] == [Kind.REFUSED, Kind.IDLE]

    silent = watched()
    for _ in range(5):
        silent.wait(1.0)
    assert kinds(silent) == []
    swipe(silent, CARD)
    silent.wait(PadRules().digit_timeout_s)
    assert silent.panel.shown[-1] == PanelState(Kind.REFUSED, 1, code=1)
    swipe(silent, OTHER_CARD)
    assert kinds(silent) == [Kind.CARD_READ, Kind.REFUSED, Kind.CARD_READ]


def test_a_refusal_can_be_had_again_by_a_key() -> None:
    """Of the attempt that it ended; the next card takes it away, and so does the next code."""
    door = watched(Rules(Policy(code_entry=True), PadRules()))
    attempt = swipe(door, CARD)
    tap(door, WRONG_PIN, attempt)
    door.wait(KEYS.message_s)
    assert (kinds(door)[-1], door.panel.shown[-1].again) == (Kind.IDLE, True)

    door.controller.handle(PanelKeyPressed(AGAIN, attempt + 1))
    door.wait(0.0)
    assert kinds(door)[-1] is Kind.IDLE
    door.controller.handle(PanelKeyPressed(AGAIN, attempt))
    door.wait(0.0)
    assert (kinds(door)[-1], door.panel.shown[-1].code) == (Kind.REFUSED, NOT_PROVED)
    tap(door, "4", attempt)
    door.wait(PadRules().digit_timeout_s)
    assert (kinds(door)[-1], door.panel.shown[-1].again) == (Kind.IDLE, False)
    door.controller.handle(PanelKeyPressed(AGAIN, attempt))
    door.wait(0.0)
    assert kinds(door)[-1] is Kind.IDLE


def test_help_is_called_once_and_never_beside_a_patron() -> None:
    """By an alarm that says nothing else; a card goes before the question."""
    door = watched()
    for key in (HELP, CALL, CALL, HELP, CALL):
        door.controller.handle(PanelKeyPressed(key, 0))
        door.wait(0.0)
    assert kinds(door)[:2] == [Kind.HELP, Kind.CALLED]
    assert door.log.named("alarm") == [{"event": "alarm", "kind": "help_called"}]

    door.wait(CALL_REST_S)
    door.controller.handle(PanelKeyPressed(HELP, 0))
    door.wait(0.0)
    assert kinds(door)[-1] is Kind.HELP
    attempt = swipe(door, CARD)
    door.controller.handle(PanelKeyPressed(CALL, attempt))
    tap(door, RIGHT_PIN, attempt)
    assert (kinds(door)[-1], door.reasons) == (Kind.WELCOME, ["ok"])
    assert len(door.log.named("alarm")) == 1


@pytest.mark.parametrize(
    ("codes", "typed"),
    [(True, "4711#"), (True, "48392#"), (True, "12345678901#"), (False, "4"), (False, "#")],
)
def test_digits_that_are_no_code_are_answered(typed: str, *, codes: bool) -> None:
    """Whoever types before the card is told what to do; the card goes on as ever."""
    door = watched(Rules(Policy(code_entry=codes), PadRules()))
    tap(door, typed, 0)

    asked = door.panel.shown[-1]
    assert (asked.kind, asked.code) == (Kind.REFUSED, CARD_FIRST)
    door.wait(KEYS.message_s - 0.1)
    assert door.panel.shown[-1] == asked
    door.wait(0.1)
    assert (door.panel.shown[-1].kind, door.reasons) == (Kind.IDLE, [])
    tap(door, RIGHT_PIN, swipe(door, CARD))
    assert door.reasons == ["ok"]


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize("pin", [RIGHT_PIN, WRONG_PIN])
def test_an_enter_too_many_ends_no_message(pin: str, *, codes: bool) -> None:
    """Many press it after the PIN: the welcome and the refusal stand."""
    door = watched(Rules(Policy(code_entry=codes), PadRules()))
    attempt = swipe(door, CARD)
    tap(door, pin, attempt)
    told = door.panel.shown[-1]
    tap(door, "#", attempt)

    assert door.panel.shown[-1] == told
    assert told.kind is (Kind.WELCOME if pin == RIGHT_PIN else Kind.REFUSED)


def test_a_locked_door_asks_for_no_companions() -> None:
    """A key says how many, and the welcome stands on; the question goes as the strike locks.

    The next keys are then the next person's code.
    """
    door, attempt = watched(Rules(Policy(companions_max=3, code_entry=True), PadRules())), 0
    for typed in ("2", ""):
        door.log.lines.clear()
        attempt = swipe(door, CARD)
        tap(door, RIGHT_PIN, attempt)
        locks_s = door.clock.monotonic_s() + RELEASE_S
        asked = door.panel.shown[-1]
        assert (asked.kind, asked.keys, asked.companions) == (Kind.WELCOME, Keys.COMPANIONS, 3)
        tap(door, typed, attempt)
        if typed:
            assert door.panel.shown[-1] == PanelState(Kind.WELCOME, attempt, locks_s=locks_s)
            assert door.log.named("companions")[0]["count"] == 2
        door.wait(RELEASE_S)

    assert not door.relay.energised
    assert door.panel.shown[-1].keys is not Keys.COMPANIONS
    tap(door, "1", attempt)
    assert (door.panel.shown[-1].kind, door.panel.shown[-1].typed) == (Kind.TYPING, 1)
    assert door.log.named("companions") == []


@pytest.mark.parametrize("rules", [PanelRules(), KEYS, PanelRules(help=True)])
@pytest.mark.parametrize("key", [*"09#*", AGAIN, HELP, CALL, "", "10", "a", "\u0663", "\n", "4711"])
def test_a_screen_takes_the_keys_that_it_shows(rules: PanelRules, key: str) -> None:
    """No other is repeated: somebody may have typed a PIN in one go. A door that hangs takes none.

    A late key is a danger.
    """
    event_queue: EventQueue = queue.SimpleQueue()
    shown = {AGAIN, *("0123456789#*" if rules.keys else ()), *(HELP_KEYS if rules.help else ())}
    with nullcontext() if key in shown else pytest.raises(InputError, match="has no such key; see"):
        press(rules, event_queue, key, 7)
    assert event_queue.qsize() == (key in shown)

    for _ in range(MOST_PENDING):
        event_queue.put(PinsTouched())
    with pytest.raises(StuckError if key in shown else InputError):
        press(rules, event_queue, key, 7)


@pytest.mark.parametrize("other", [-1, 1])
def test_a_key_meant_for_another_attempt_is_void(other: int) -> None:
    """What a page sends late is not the next patron's."""
    door = watched()
    attempt = swipe(door, CARD)
    tap(door, RIGHT_PIN, attempt + other)

    assert door.reasons == []
    assert kinds(door) == [Kind.CARD_READ]


def test_keys_pressed_while_the_door_stood_still_are_void() -> None:
    """Before it, and for a moment after it, as on any line; later keys begin a code as ever."""
    door = watched()
    attempt = swipe(door, CARD)
    still = [(0.0, PanelKeyPressed(key, attempt)) for key in RIGHT_PIN]
    event_queue = FakeQueue(door.clock, *still, (1.0, StopRequested()), turn_s=STALL_LIMIT_S + 0.1)
    door.controller.run(event_queue)
    assert door.reasons == ["fault"]
    assert not door.relay.edges

    door = watched(Rules(Policy(code_entry=True), PadRules()))
    for _ in range(2):
        door.controller.run(FakeQueue(door.clock, (0.0, StopRequested())))
        door.clock.advance(STALL_LIMIT_S + 0.1)
    door.controller.run(FakeQueue(door.clock, (0.0, StopRequested())))
    tap(door, "4", 0)
    assert kinds(door) == []
    door.wait(STALE_S)
    tap(door, "4", 0)
    assert kinds(door) == [Kind.TYPING]


def test_a_lost_reader_is_out_of_order() -> None:
    """Nobody is asked for a card that can't be read; once it is back, they are."""
    door = watched()
    door.controller.handle(LineLost(READER, "unplugged"))
    door.wait(0.0)
    door.controller.handle(LineConnected(READER))
    door.wait(0.0)

    assert kinds(door) == [Kind.OUT_OF_ORDER, Kind.IDLE]
    assert door.panel.shown[0].code == OURS


def test_a_card_that_is_turned_away_is_our_fault() -> None:
    """More cards than can be looked up: the screen says sorry, not no."""
    door = watched()
    while door.worker.backlog() < BACKLOG_LIMIT:
        door.worker.submit(lambda: None)
    door.swipe(CARD)
    door.wait(0.0)

    assert door.panel.shown == [PanelState(Kind.REFUSED, code=OURS)]


def test_an_unreadable_card_is_told_when_nobody_types() -> None:
    """Turn it, says the screen; garbage on the line does not hide what somebody is typing."""
    door = watched()
    door.controller.handle(BytesReceived(READER, b"%rubbish?\r"))
    door.wait(1.0)
    assert door.panel.shown[-1].code == 2

    swipe(door, CARD)
    door.controller.handle(BytesReceived(READER, b"%rubbish?\r"))
    door.wait(1.0)
    assert kinds(door)[-1] is Kind.CARD_READ
