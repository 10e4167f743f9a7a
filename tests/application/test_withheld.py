"""A branch that may ask the library system tells refusals late, and late is not free."""

from __future__ import annotations

from doorctl.access.messages import Rules
from doorctl.access.pin_pad import PadRules
from doorctl.access.policy import Policy
from tests.application.fake_door import CARD, RIGHT_PIN, WRONG_PIN, FakeDoor, key_of, resident

RULES = Rules(Policy(), PadRules(), ask_s=2.0)


def test_swiping_before_the_refusal_is_told_saves_no_guess() -> None:
    """Attack: guess, swipe again at once, guess on. After three even the right PIN waits."""
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
