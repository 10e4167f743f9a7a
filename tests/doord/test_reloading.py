"""Other rules that come while the door is at work: an attempt knows one policy, no relay moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.day import DayRules, Override
from doorctl.access.messages import PadRules, Rules
from doorctl.access.panel import PanelRules
from doorctl.access.policy import Policy
from doorctl.doord.jobs import Reloaded
from tests.doord.fake_door import (
    CARD,
    OTHER_CARD,
    RELEASE_S,
    RIGHT_PIN,
    WRONG_PIN,
    FakeDoor,
    resident,
)

OPEN, SHUT = Calendar(), Calendar(((),) * 7)
STAFFED = Calendar(((ModeSpan(Mode.STAFFED, 0, 1440),),) * 7)
BY_CARD = Rules(Policy(require_pin=False), PadRules())
LONGER = Rules(Policy(), PadRules(6))
RESIDENTS_ONLY = Rules(Policy(), PadRules())
EVERYBODY = Rules(Policy(require_resident=False), PadRules())


def reload(door: FakeDoor, rules: Rules, calendar: Calendar = OPEN) -> list[str]:
    """Have the door hear of other rules; the list has something once they are in force."""
    taken: list[str] = []

    def take() -> None:
        door.calendar = calendar
        taken.append("taken")

    door.controller.handle(Reloaded(rules, DayRules(), PanelRules(), take))
    return taken


def stranger(door: FakeDoor) -> None:
    """Let the card belong to somebody from elsewhere."""
    door.push({CARD: replace(resident(CARD), resident=False), OTHER_CARD: resident(OTHER_CARD)})


@pytest.mark.parametrize("typed_before", range(len(RIGHT_PIN)))
@pytest.mark.parametrize("begun_by", [RESIDENTS_ONLY, EVERYBODY])
def test_an_attempt_knows_the_policy_that_it_began_by(begun_by: Rules, typed_before: int) -> None:
    """Whichever digit it comes before, it counts from the next attempt on."""
    other, expected = (
        (EVERYBODY, ["not_resident", "ok"])
        if begun_by is RESIDENTS_ONLY
        else (RESIDENTS_ONLY, ["ok", "not_resident"])
    )
    door = FakeDoor(begun_by)
    stranger(door)
    door.present(CARD, RIGHT_PIN[:typed_before])
    taken = reload(door, other)
    door.controller.pass_time()
    assert taken == []
    door.types(RIGHT_PIN[typed_before:])
    door.work()
    door.wait(RELEASE_S)

    assert taken == ["taken"]
    door.visit(CARD, RIGHT_PIN)
    assert door.reasons == expected


def test_a_card_that_ends_an_attempt_is_judged_by_the_new_policy(door: FakeDoor) -> None:
    """Cards that follow each other without a pause don't keep it waiting."""
    door.present(CARD)
    taken = reload(door, LONGER)
    door.present(OTHER_CARD)

    assert taken == ["taken"]
    door.types(RIGHT_PIN)
    assert door.reasons == ["pin_timeout"]


def test_the_last_of_several_counts(door: FakeDoor) -> None:
    """What came before it was never in force."""
    stranger(door)
    door.swipe(CARD)
    first, last = reload(door, LONGER), reload(door, EVERYBODY)
    door.work()
    door.types(RIGHT_PIN)
    door.wait(RELEASE_S)

    assert (first, last) == ([], ["taken"])
    assert [*door.reasons, door.visit(CARD, RIGHT_PIN)] == ["not_resident", "ok"]


def test_other_hours_are_in_force_for_the_next_card(door: FakeDoor) -> None:
    """They are asked of the worker before the card is, so no card is judged by the old ones."""
    reload(door, door.rules, SHUT)

    assert door.visit(CARD, RIGHT_PIN) == "closed"


def test_who_is_being_let_in_keeps_the_time(door: FakeDoor) -> None:
    """Hours that end meanwhile lock nobody out in the middle of the doorway."""
    door.visit(CARD, RIGHT_PIN)
    reload(door, door.rules, SHUT)
    door.wait(RELEASE_S / 2)
    door.work()

    assert door.relay.energised
    door.wait(RELEASE_S)
    assert not door.relay.energised


@pytest.mark.parametrize("calendar", [OPEN, STAFFED])
def test_a_lockdown_goes_before_other_hours(door: FakeDoor, calendar: Calendar) -> None:
    """What staff have set stays, and the strike stays locked."""
    until = door.clock.wall.replace(hour=23)
    door.branch.set_override(Override(Mode.LOCKDOWN, until, "threat", "anna"), door.clock.moment())
    door.wait(1.0)
    door.work()
    reload(door, BY_CARD, calendar)
    door.wait(1.0)
    door.work()

    assert not door.relay.energised
    assert door.visit(CARD, RIGHT_PIN) == "closed"


STEPS = st.sampled_from(
    ["swipe", "other", RIGHT_PIN, WRONG_PIN, "4", "work", "wait", EVERYBODY, BY_CARD, LONGER]
)


MOST_WAITING = 4
"""Cards that come faster than they are looked up are turned away, and begin no attempt."""


@given(st.lists(STEPS, max_size=25))
@example(["swipe", "work", BY_CARD, WRONG_PIN])
def test_whoever_comes_in_does_so_by_the_rules_of_their_card(steps: list[str | Rules]) -> None:
    """Where these ask for a PIN it was typed; and a reload by itself never moves the relay."""
    door = FakeDoor(EVERYBODY)
    newest, rules, typed, waiting = EVERYBODY, EVERYBODY, "", 0
    for step in steps:
        let_in, energised = door.reasons.count("ok"), door.relay.energised
        match step:
            case Rules():
                newest = step
                reload(door, newest)
                assert door.relay.energised == energised
            case "swipe" | "other" if waiting == MOST_WAITING:
                continue
            case "swipe" | "other":
                rules, typed, waiting = newest, "", waiting + 1
                door.swipe(CARD if step == "swipe" else OTHER_CARD)
            case "work":
                waiting = 0
                door.work()
            case "wait":
                door.wait(0.5)
            case keys:
                typed += keys
                door.types(keys)
        if door.reasons.count("ok") > let_in and rules.policy.require_pin:
            assert typed.startswith(RIGHT_PIN)
            assert rules.pad.pin_length == len(RIGHT_PIN)
    door.work()
    door.wait(60.0)
    assert not door.relay.energised
