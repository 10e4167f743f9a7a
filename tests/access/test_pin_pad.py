from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.access.attempt import CLEAR, ENTER, PinPad
from doorctl.access.messages import PadRules

RULES = PadRules(pin_length=4, digit_timeout_s=10.0, total_timeout_s=30.0)


def typed(keys: str, rules: PadRules = RULES, gap_s: float = 1.0) -> tuple[PinPad, list[str]]:
    """Type keys at a steady pace; return the pad and every PIN that came out."""
    pad, pins = PinPad(rules, 0.0, 0.0), []
    for at, key in enumerate(keys, start=1):
        pad = pad.pressed(key, at * gap_s)
        pin = pad.entered(key)
        if pin is not None:
            pins.append(pin.reveal())
    return pad, pins


@pytest.mark.parametrize("length", [4, 5, 8])
def test_the_length_is_the_rules(length: int) -> None:
    """A PIN is complete at the configured length, no digit earlier."""
    digits = "1234567890"[:length]

    assert typed(digits, PadRules(pin_length=length))[1] == [digits]
    assert typed(digits[:-1], PadRules(pin_length=length))[1] == []


@dataclass
class Model:
    """The pad as a patron would explain it."""

    opened_s: float
    keys: list[str] = field(default_factory=list)
    last_s: float = 0.0

    @property
    def digits(self) -> str:
        """What stands in the pad: the first digits since the latest clear."""
        since_clear = "".join(self.keys).rpartition(CLEAR)[2]
        return since_clear.replace(ENTER, "")[: RULES.pin_length]


class TypingMachine(RuleBasedStateMachine):
    """Any keys at any times, against the model; full pads are typed on as well."""

    @initialize(at=st.floats(0, 1e6))
    def open(self, at: float) -> None:
        """Read a card."""
        self.now_s = at
        self.pad = PinPad(RULES, at, at)
        self.model = Model(at, last_s=at)

    @rule(key=st.sampled_from([*"0123456789", ENTER, CLEAR]), gap_s=st.floats(0, 15))
    def press(self, key: str, gap_s: float) -> None:
        """Press a key after a while."""
        self.now_s += gap_s
        self.model.keys.append(key)
        self.model.last_s = self.now_s
        self.pad = self.pad.pressed(key, self.now_s)

        pin = self.pad.entered(key)
        digits = self.model.digits
        complete = len(digits) == RULES.pin_length or (key == ENTER and digits != "")
        assert (pin is not None) == complete
        assert pin is None or pin.reveal() == digits
        assert "Pin(***)" in repr((pin, self.pad)) or pin is None

    @invariant()
    def agrees(self) -> None:
        """Digits, fullness and deadline are the model's, and no digit is shown."""
        if not hasattr(self, "pad"):
            return
        assert self.pad.digits == self.model.digits
        assert len(self.pad.digits) <= RULES.pin_length
        assert self.pad.full == (len(self.model.digits) == RULES.pin_length)
        assert self.pad.deadline_s == min(self.model.last_s + 10, self.model.opened_s + 30)
        assert "digits" not in repr(self.pad)


TestTyping = TypingMachine.TestCase
TestTyping.settings = settings(stateful_step_count=25)
