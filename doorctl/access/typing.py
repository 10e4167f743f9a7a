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

    A PIN of `pin_length` digits needs no enter key. `digit_timeout_s` is the longest wait for the
    next key, `total_timeout_s` the longest time from the card to the last key.
    """

    pin_length: int = 4
    digit_timeout_s: float = 10.0
    total_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PinPad:
    """The digits typed since a card was read; never longer than `rules.pin_length`, never shown.

    Times are monotonic seconds; `last_key_s` is `opened_s` at first.
    """

    rules: PadRules
    opened_s: float
    last_key_s: float
    digits: str = field(default="", repr=False)

    @classmethod
    def opened(cls, rules: PadRules, now_s: float) -> PinPad:
        """Start with an empty pad for a card that has just been read."""
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
# Too few digits, or more than a code can have, count as nothing.

TOO_MANY_DIGITS = MAX_CODE_DIGITS + 1
"""A longer entry keeps this many digits, which shows that it is no code."""


@dataclass(frozen=True, slots=True)
class CodePad:
    """The digits typed since the first key, at most `TOO_MANY_DIGITS`; never shown.

    The time-outs are the same as for a PIN; times are monotonic seconds.
    """

    rules: PadRules
    opened_s: float
    last_key_s: float
    digits: str = field(default="", repr=False)

    @property
    def deadline_s(self) -> float:
        """When the person has taken too long, monotonic seconds."""
        return min(
            self.last_key_s + self.rules.digit_timeout_s,
            self.opened_s + self.rules.total_timeout_s,
        )

    def pressed(self, key: str, now_s: float) -> CodePad | None:
        """Take one key; clear and enter empty the pad, and the result is None."""
        if key in {CLEAR, ENTER}:
            return None
        return replace(self, digits=(self.digits + key)[:TOO_MANY_DIGITS], last_key_s=now_s)

    @property
    def code(self) -> Identifier | None:
        """The code, if the digits can be one."""
        if not MIN_CODE_DIGITS <= len(self.digits) <= MAX_CODE_DIGITS:
            return None
        return Identifier(IdentifierKind.CODE, self.digits)


# Companions: by one key the last patron may say how many others come along.

COMPANION_S = 8.0
"""How long a key counts: as long as a person with a pram takes to pull the door open."""


@dataclass(frozen=True, slots=True)
class Company:
    """The companions that may still be announced for an attempt that opened the door.

    Keys 1 to `companions_max`, at most 9, count until just before `until_s`, monotonic seconds;
    `granted_in` is the branch's mode at the grant.
    """

    attempt: int
    companions_max: int
    until_s: float
    granted_in: Mode

    def said(self, key: str) -> int | None:
        """Return how many come along, or None for a key without that meaning."""
        return int(key) if key.isdigit() and 1 <= int(key) <= self.companions_max else None

    def may_follow(self, mode: Mode) -> bool:
        """Tell whether companions may come in by now; shortly before closing they may.

        A pass that opens a closed branch opens it for the holder's companions too, until staff make
        it something stricter.
        """
        return mode in OPEN or mode is self.granted_in
