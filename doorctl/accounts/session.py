"""A session, judged by the time since the machine started.

A wall clock that jumps neither prolongs nor ends one, and a restart ends all. OWASP ASVS 5.0 V7.2
and V7.3.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

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
    """256 random bits as text; the browser that shows them is signed in."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the token, which is stored in its place."""
        return hashlib.sha256(self.reveal().encode()).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which a person is signed in; `seen` is at most :data:`TOUCH_MS` too early."""

    account: str
    began: BootTime
    seen: BootTime

    def lives(self, now: BootTime, idle_ms: int = IDLE_MS) -> bool:
        """Tell whether it counts: not after a restart, a day, or `idle_ms` without an action."""
        return (
            self.began.boot_id == self.seen.boot_id == now.boot_id
            and now.ms_since(self.began) < LONGEST_MS
            and now.ms_since(self.seen) < idle_ms
        )

    def fresh(self, now: BootTime) -> bool:
        """Tell whether a live session's sign-in is recent."""
        return now.ms_since(self.began) < FRESH_MS

    def touch_due(self, now: BootTime) -> bool:
        """Tell whether it is time to store that the session is still in use."""
        return now.ms_since(self.seen) >= TOUCH_MS


def new_token() -> Token:
    """Return a new random token."""
    return Token(secrets.token_urlsafe(TOKEN_BYTES))
