"""The PIN pad: keys and a time go in, the pad as it then stands comes out; deadlines are state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.messages import PadRules
from doorctl.core.masked import Identifier, IdentifierKind, Pin

ENTER = "#"

CLEAR = "*"


@dataclass(frozen=True, slots=True)
class _Pad:
    """The digits that were typed, never shown; `last_key_s` is `opened_s` at first, monotonic."""

    rules: PadRules
    opened_s: float
    last_key_s: float
    digits: str = field(default="", repr=False)

    @property
    def deadline_s(self) -> float:
        """When the person has taken too long, monotonic seconds."""
        return min(
            self.last_key_s + self.rules.digit_timeout_s, self.opened_s + self.rules.total_timeout_s
        )


class PinPad(_Pad):
    """The digits typed since a card was read, at most `rules.pin_length`."""

    __slots__ = ()

    def pressed(self, key: str, now_s: float) -> PinPad:
        """Take one key: a digit is added, clear empties the pad, enter alone changes nothing."""
        digits = self.digits
        if key == CLEAR:
            digits = ""
        elif key != ENTER and not self.full:
            digits += key
        return PinPad(self.rules, self.opened_s, now_s, digits)

    def entered(self, key: str) -> Pin | None:
        """Return the PIN if `key`, which has just been pressed, completed it."""
        done = self.full or (key == ENTER and self.digits)
        return Pin(self.digits) if done else None

    @property
    def full(self) -> bool:
        """Whether as many digits were typed as a PIN has."""
        return len(self.digits) >= self.rules.pin_length


TOO_MANY_DIGITS = MAX_CODE_DIGITS + 1
"""A longer entry keeps this many digits, which shows that it is no code."""


class CodePad(_Pad):
    """The digits typed where no card was read, at most `TOO_MANY_DIGITS`; a code ends with ``#``.

    Too few digits, or more than a code can have, count as nothing.
    """

    __slots__ = ()

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
