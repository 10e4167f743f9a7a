"""A branch that may ask the library system tells refusals late, and late is not free."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from doorctl.access.messages import LibraryAnswer, PadRules, Rules
from doorctl.access.patron import Patron, pin_check
from doorctl.access.policy import Policy
from doorctl.access.rights import Pass, PassKind
from doorctl.core.masked import Pin
from tests.doord.fake_door import (
    CARD,
    RIGHT_PIN,
    WRONG_PIN,
    FakeDoor,
    identifier,
    key_of,
    resident,
)
from tests.fakes.library import FakeLibrary
from tests.fakes.memory_store import FastSealer

RULES = Rules(Policy(), PadRules(), ask_s=2.0)


def test_swiping_before_the_refusal_is_told_saves_no_guess() -> None:
    """Attack: guess, swipe again at once, guess on. After three even the right PIN waits.

    Bug (model of the asking attempt): a new swipe before the refusal was shown made every wrong
    guess free.
    """
    door = FakeDoor(RULES)
    door.push({CARD: resident(CARD)})
    for guesses in range(1, 4):
        door.swipe(CARD)
        door.work()
        door.types(WRONG_PIN)
        door.swipe(CARD)
        door.work()
        assert door.visits.card_throttle(key_of(CARD)).failures == guesses + (guesses < 3)

    door.types(RIGHT_PIN)
    door.wait(2.0)

    assert door.reasons[-1] == "throttled"
    assert "ok" not in door.reasons


NO_PIN_EXPORTED = replace(resident(CARD), pin_check=None)
LEARNT_LONG_AGO = replace(
    resident(CARD), pin_until=FakeDoor().clock.wall.date() - timedelta(days=9)
)


def issue(door: FakeDoor, own_pin: str | None) -> None:
    """Give `CARD` a pass, with a PIN of its own or with the register's."""
    check = pin_check(FastSealer().stretch(identifier(CARD)), Pin(own_pin)) if own_pin else None
    today = door.clock.moment().local.date()
    cleaner = Pass(0, PassKind.CLEANER, today, today, pin_check=check, label="cleaning")
    door.branch.issue(cleaner, door.clock.moment(), row_key=key_of(CARD))


def guess(door: FakeDoor) -> int:
    """Type a wrong PIN, hear the refusal when it is told, and return the card's failures."""
    door.swipe(CARD)
    door.work()
    door.types(WRONG_PIN)
    door.work()
    door.asker.work()
    door.wait(RULES.ask_s or 0.0)
    door.work()
    return door.visits.card_throttle(key_of(CARD)).failures


@pytest.mark.parametrize("row", [NO_PIN_EXPORTED, LEARNT_LONG_AGO, None])
def test_a_pass_with_a_pin_of_its_own_is_not_guessed_at_while_nobody_answers(
    row: Patron | None,
) -> None:
    """Something here was compared with the PIN, so a silent library system takes no guess back.

    Bug (attack review): the charge for a guess was taken back while the library system was
    silent, though a pass's own PIN had been compared.
    """
    door = FakeDoor(RULES, library=FakeLibrary(answer=LibraryAnswer.SILENT))
    door.push({} if row is None else {CARD: row})
    issue(door, "9042")

    assert [guess(door) for _ in range(3)] == [1, 2, 3]


def test_a_pass_with_the_registers_pin_leaves_nothing_to_compare() -> None:
    """Nobody can tell whether it was right, so it counts as no guess."""
    door = FakeDoor(RULES, library=FakeLibrary(answer=LibraryAnswer.SILENT))
    door.push({CARD: NO_PIN_EXPORTED})
    issue(door, None)

    assert [guess(door) for _ in range(3)] == [0, 0, 0]
