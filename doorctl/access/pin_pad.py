"""The PIN pad: keys and a time go in, the pad as it then stands comes out; deadlines are state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorctl.masked import Pin

ENTER = "#"
CLEAR = "*"


@dataclass(frozen=True, slots=True)
class PadRules:
    """How long a PIN is and how long a patron may take.

    Args:
        pin_length: this many digits need no enter key.
        digit_timeout_s: longest wait for the next key.
        total_timeout_s: longest time from the card to the last key.
    """

    pin_length: int = 4
    digit_timeout_s: float = 10.0
    total_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PinPad:
    """What has been typed since a card was read.

    Args:
        rules: lengths and time-outs.
        opened_s: when the card was read, monotonic seconds.
        last_key_s: when the latest key came; `opened_s` at first.
        digits: what was typed; never longer than `rules.pin_length`, never shown.
    """

    rules: PadRules
    opened_s: float
    last_key_s: float
    digits: str = field(default="", repr=False)

    @classmethod
    def opened(cls, rules: PadRules, now_s: float) -> PinPad:
        """Start afresh for a card that has just been read."""
        return cls(rules, now_s, now_s)

    @property
    def deadline_s(self) -> float:
        """When the patron has taken too long, monotonic seconds."""
        return min(
            self.last_key_s + self.rules.digit_timeout_s,
            self.opened_s + self.rules.total_timeout_s,
        )

    def pressed(self, key: str, now_s: float) -> PinPad:
        """Take one key: a digit is added, clear empties the pad, enter alone changes nothing."""
        if key == CLEAR:
            return replace(self, digits="", last_key_s=now_s)
        if key == ENTER or self.full:
            return replace(self, last_key_s=now_s)
        return replace(self, digits=self.digits + key, last_key_s=now_s)

    def entered(self, key: str) -> Pin | None:
        """Return the PIN if `key`, which has just been pressed, completed it."""
        done = self.full or (key == ENTER and self.digits)
        return Pin(self.digits) if done else None

    @property
    def full(self) -> bool:
        """Whether as many digits were typed as a PIN has."""
        return len(self.digits) >= self.rules.pin_length
