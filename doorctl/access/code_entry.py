"""The pad where no card was read: digits and a time go in, a code comes out at ``#``.

Whoever types too few digits, or more than a code can have, has typed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.pin_pad import CLEAR, ENTER, PadRules
from doorctl.masked import Identifier, IdentifierKind

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
