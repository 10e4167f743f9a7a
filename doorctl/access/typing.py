"""The PIN pad: keys and a time go in, the pad as it then stands comes out; deadlines are state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorctl.access.calendar import OPEN, Mode
from doorctl.access.rights import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.core.masked import Identifier, IdentifierKind, Pin

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


# The pad where no card was read: digits and a time go in, a code comes out at ``#``.
#
# Whoever types too few digits, or more than a code can have, has typed nothing.

TOO_MANY_DIGITS = MAX_CODE_DIGITS + 1
"""Of a longer entry so many digits are kept, which tells that it is no code."""


@dataclass(frozen=True, slots=True)
class CodePad:
    """What has been typed since the first key.

    Args:
        rules: its time-outs are the same as for a PIN.
        opened_s: when the first key came, monotonic seconds.
        last_key_s: when the latest key came.
        digits: what was typed, at most `TOO_MANY_DIGITS`; never shown.
    """

    rules: PadRules
    opened_s: float
    last_key_s: float
    digits: str = field(default="", repr=False)

    @property
    def deadline_s(self) -> float:
        """When whoever types has taken too long, monotonic seconds."""
        return min(
            self.last_key_s + self.rules.digit_timeout_s,
            self.opened_s + self.rules.total_timeout_s,
        )

    def pressed(self, key: str, now_s: float) -> CodePad | None:
        """Take one key; clear and enter empty the pad, so that None is left."""
        if key in {CLEAR, ENTER}:
            return None
        return replace(self, digits=(self.digits + key)[:TOO_MANY_DIGITS], last_key_s=now_s)

    @property
    def code(self) -> Identifier | None:
        """The code, if what stands in the pad can be one."""
        if not MIN_CODE_DIGITS <= len(self.digits) <= MAX_CODE_DIGITS:
            return None
        return Identifier(IdentifierKind.CODE, self.digits)


# Who was just let in may say by one key how many others come along.

COMPANION_S = 8.0
"""How long a key counts: as long as the door takes to be pulled open by somebody with a pram."""


@dataclass(frozen=True, slots=True)
class Company:
    """What may still be said of an attempt that opened the door.

    Args:
        attempt: its number.
        companions_max: the highest key that counts, 1-9.
        until_s: until just before when, monotonic seconds.
        granted_in: what the branch was then.
    """

    attempt: int
    companions_max: int
    until_s: float
    granted_in: Mode

    def said(self, key: str) -> int | None:
        """Return how many come along, or None for a key that says nothing."""
        return int(key) if key.isdigit() and 1 <= int(key) <= self.companions_max else None

    def may_follow(self, mode: Mode) -> bool:
        """Tell whether companions come in by now; shortly before closing they do.

        A pass that opens a closed branch opens it for the holder's company too, until staff make
        it something stricter.
        """
        return mode in OPEN or mode is self.granted_in
