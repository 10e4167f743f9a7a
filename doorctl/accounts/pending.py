"""Sign-ins at the identity provider that are under way: few, in memory, for a few minutes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from doorctl.accounts.ports import Pending
from doorctl.accounts.sessions import Token, new_token

KEPT_S = 600.0
"""Time enough to find a telephone and type a code."""

MOST = 500
"""Whoever begins more of them makes the oldest ones begin again."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun in a browser.

    Args:
        pending: what the provider's answer is checked by.
        back: where whoever it is wanted to go, a path of ours.
        session: the session that the browser had; None for none. It ends when the new one begins.
    """

    pending: Pending
    back: str = "/"
    session: Token | None = None


class PendingSignIns:
    """Keep what a browser was sent away with. Thread-safe.

    A restart forgets them: whoever was under way begins again.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[Begun, float]] = OrderedDict()
        self._lock = Lock()

    def keep(self, begun: Begun, now_s: float) -> Token:
        """Keep one; return the token that the browser needs to have it taken.

        Args:
            begun: what was begun.
            now_s: CLOCK_MONOTONIC.
        """
        token = new_token()
        with self._lock:
            self._kept[token.digest] = begun, now_s
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return token

    def peek(self, token: Token, now_s: float) -> Begun | None:
        """Return what was kept, and keep it; None where it is over or was never here."""
        with self._lock:
            begun, begun_s = self._kept.get(token.digest, (None, now_s))
        return begun if now_s - begun_s < KEPT_S else None

    def take(self, token: Token, now_s: float) -> Begun | None:
        """Return what was kept, once; None where it is over or was never here."""
        with self._lock:
            begun, begun_s = self._kept.pop(token.digest, (None, now_s))
        return begun if now_s - begun_s < KEPT_S else None
