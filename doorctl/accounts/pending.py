"""Sign-ins at the identity provider that are under way: few, in memory, for a few minutes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from doorctl.accounts.ports import Pending
from doorctl.accounts.sessions import Token, new_token
from doorctl.accounts.throttle import caller

KEPT_S = 600.0
"""Time enough to find a telephone and type a code."""

MOST = 500
"""Of all; beyond it the oldest one begins again."""

MOST_OF_ONE = 8
"""Of one address; beyond it the oldest one there begins again, and nobody else's."""


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
        self._kept: OrderedDict[bytes, tuple[Begun, float, str]] = OrderedDict()
        self._lock = Lock()

    def keep(self, begun: Begun, now_s: float, address: str) -> Token:
        """Keep one; return the token that the browser needs to have it taken.

        Args:
            begun: what was begun.
            now_s: CLOCK_MONOTONIC.
            address: where it was begun; any text.
        """
        token, host = new_token(), caller(address)
        with self._lock:
            theirs = [one for one, (_, _, of) in self._kept.items() if of == host]
            if len(theirs) >= MOST_OF_ONE:
                del self._kept[theirs[0]]
            self._kept[token.digest] = begun, now_s, host
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return token

    def peek(self, token: Token, now_s: float) -> Begun | None:
        """Return what was kept, and keep it; None where it is over or was never here."""
        with self._lock:
            begun, begun_s, _ = self._kept.get(token.digest, (None, now_s, ""))
        return begun if now_s - begun_s < KEPT_S else None

    def take(self, token: Token, now_s: float) -> Begun | None:
        """Return what was kept, once; None where it is over or was never here."""
        with self._lock:
            begun, begun_s, _ = self._kept.pop(token.digest, (None, now_s, ""))
        return begun if now_s - begun_s < KEPT_S else None
