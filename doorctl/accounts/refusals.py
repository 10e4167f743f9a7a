"""Which refusals by role go on record: an account's first ones, then one an hour with a count.

Pure: time is an argument. A script that asks again and again fills no disk, and hides nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass

AT_ONCE = 10
"""So many of one account are on record at once; who looks round by hand sees fewer pages."""

REFILL_S = 3600.0
"""Then one more in this time: 34 entries of an account on its worst day."""

MOST = 500
"""Accounts that are counted; of whom nobody has heard longest is forgotten."""


@dataclass(slots=True)
class _Account:
    spent: float = 0.0
    at_s: float = 0.0
    left_out: int = 0


class Refusals:
    """Count what was refused. One thread."""

    def __init__(self) -> None:
        self._of: dict[str, _Account] = {}

    def due(self, account: str, now_s: float) -> int | None:
        """Count a refusal, and tell whether it goes on record.

        Args:
            account: whose it is.
            now_s: CLOCK_MONOTONIC.

        Returns:
            None where it stays off the record; else how many of the account did so since its last.
        """
        one = self._of.pop(account, None) or _Account(at_s=now_s)
        self._of[account] = one
        if len(self._of) > MOST:
            del self._of[next(iter(self._of))]
        one.spent = max(0.0, one.spent - (now_s - one.at_s) / REFILL_S)
        one.at_s = now_s
        if one.spent > AT_ONCE - 1:
            one.left_out += 1
            return None
        one.spent += 1
        left_out, one.left_out = one.left_out, 0
        return left_out
