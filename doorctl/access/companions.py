"""Who was just let in may say by one key how many others come along."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.access.calendar import OPEN, Mode

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
