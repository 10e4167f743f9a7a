"""A session: a browser shows it instead of the password, and it ends by itself.

Sessions are judged by the time since the machine started: a wall clock that jumps neither prolongs
nor ends one, and a restart ends all. OWASP ASVS 5.0 V7.2 and V7.3.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace

from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime

TOKEN_BYTES = 32

IDLE_MS = 30 * 60_000
"""A session ends after so long without an action; a branch may say less."""

LONGEST_MS = 8 * 3_600_000
"""A working day; then everybody signs in again."""

FRESH_MS = 5 * 60_000
"""For so long after a sign-in, accounts can be changed and sessions ended; then sign in again."""

TOUCH_MS = 60_000
"""How often the last action is stored: the disk is not written at each page."""


class Token(Masked[str]):
    """256 random bits as text; whoever has them is signed in."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the token, which is stored in its place."""
        return hashlib.sha256(self.reveal().encode()).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which a person is signed in.

    `seen`, the last time that they did something, is at most :data:`TOUCH_MS` too early.
    """

    account: str
    began: BootTime
    seen: BootTime

    def lives(self, now: BootTime, idle_ms: int = IDLE_MS) -> bool:
        """Tell whether the session still counts; one from before a restart does not.

        It ends after `idle_ms` without an action, at most :data:`IDLE_MS`.
        """
        return (
            self.began.boot_id == self.seen.boot_id == now.boot_id
            and now.ms_since(self.began) < LONGEST_MS
            and now.ms_since(self.seen) < min(idle_ms, IDLE_MS)
        )

    def fresh(self, now: BootTime) -> bool:
        """Tell whether a live session's sign-in is recent."""
        return now.ms_since(self.began) < FRESH_MS

    def touch_due(self, now: BootTime) -> bool:
        """Tell whether it is time to store that the session is still in use."""
        return now.ms_since(self.seen) >= TOUCH_MS

    def touched(self, now: BootTime) -> Session:
        """Return the session as used at a moment."""
        return replace(self, seen=now)


def new_token() -> Token:
    """Return a new random token."""
    return Token(secrets.token_urlsafe(TOKEN_BYTES))


# Refusals by role go on record: an account's first ones, then one an hour with a count.
#
# Pure: time is an argument. A script that repeats a request fills no disk, and keeps no other
# account's refusals off the record.

AT_ONCE = 10
"""So many refusals of one account go on record at once; browsing by hand makes fewer."""

REFILL_S = 3600.0
"""After that one more goes on record in this time: at most 34 entries of an account a day."""

MOST = 500
"""The most accounts that are counted; the one without a refusal for longest is forgotten."""


@dataclass(slots=True)
class _Account:
    spent: float = 0.0
    at_s: float = 0.0
    left_out: int = 0


class Refusals:
    """Count refusals by account. One thread."""

    def __init__(self) -> None:
        self._of: dict[str, _Account] = {}

    def due(self, account: str, now_s: float) -> int | None:
        """Count an account's refusal; `now_s` is CLOCK_MONOTONIC.

        Returns:
            None where it stays off the record; else how many of the account's stayed off it since
            its last one on record.
        """
        tally = self._of.pop(account, None) or _Account(at_s=now_s)
        self._of[account] = tally
        if len(self._of) > MOST:
            del self._of[next(iter(self._of))]
        tally.spent = max(0.0, tally.spent - (now_s - tally.at_s) / REFILL_S)
        tally.at_s = now_s
        if tally.spent > AT_ONCE - 1:
            tally.left_out += 1
            return None
        tally.spent += 1
        left_out, tally.left_out = tally.left_out, 0
        return left_out
