"""A session: what a browser shows instead of the password, and when it ends by itself.

It is judged by the time since the machine started: a wall clock that jumps neither prolongs nor
ends one, and a restart ends all. OWASP ASVS 5.0 V7.2 and V7.3.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace

from doorctl.masked import Masked
from doorctl.moments import BootTime

TOKEN_BYTES = 32

IDLE_MS = 30 * 60_000
"""So long nobody has to have done anything for the session to be over; a branch may say less."""

LONGEST_MS = 8 * 3_600_000
"""A working day; then everybody signs in again."""

FRESH_MS = 5 * 60_000
"""So long after a sign-in accounts can be changed and sessions ended; then one signs in again."""

TOUCH_MS = 60_000
"""So much of the idle time may be missing on disk, which is not written at each page."""


class Token(Masked[str]):
    """256 random bits as text: whoever has them is signed in."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are stored of it."""
        return hashlib.sha256(self.reveal().encode()).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which somebody is signed in.

    Args:
        account: the login.
        began: when they signed in.
        seen: when they last did something, at most :data:`TOUCH_MS` too early.
    """

    account: str
    began: BootTime
    seen: BootTime

    def lives(self, now: BootTime, idle_ms: int = IDLE_MS) -> bool:
        """Tell whether it still counts; what is from before a restart does not.

        Args:
            now: the time.
            idle_ms: after how much of nothing it ends, at most :data:`IDLE_MS`.
        """
        return (
            self.began.boot_id == self.seen.boot_id == now.boot_id
            and now.ms_since(self.began) < LONGEST_MS
            and now.ms_since(self.seen) < min(idle_ms, IDLE_MS)
        )

    def fresh(self, now: BootTime) -> bool:
        """Tell whether whoever it is has just proved it; of one that lives."""
        return now.ms_since(self.began) < FRESH_MS

    def touch_due(self, now: BootTime) -> bool:
        """Tell whether it is time to store that somebody is still there."""
        return now.ms_since(self.seen) >= TOUCH_MS

    def touched(self, now: BootTime) -> Session:
        """Return it as of a moment at which somebody did something."""
        return replace(self, seen=now)


def new_token() -> Token:
    """Return a token that nobody ever had."""
    return Token(secrets.token_urlsafe(TOKEN_BYTES))
