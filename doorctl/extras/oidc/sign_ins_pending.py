"""Sign-ins at the identity provider that are under way: sealed, in the browser's own cookie.

The server keeps none of them, so no number of them pushes another out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from doorctl.accounts.account import (
    Pending,
)
from doorctl.accounts.session import Token
from doorctl.core.masked import Masked

KEPT_S = 600.0
"""Time enough to find a telephone and type a code."""

LONGEST_BACK = 1000
"""The longest path to come back to, in bytes: browsers keep a cookie of 4096 bytes."""

MOST_TAKEN = 1000
"""The most that are remembered as taken; for others, older ones, the provider's code counts once.

Only who has come back fills it: each costs two requests and a turn.
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun in a browser: `back` is the path to show afterwards.

    The session that the browser had, if any, ends when the new one begins.
    """

    pending: Pending
    back: str = "/"
    session: Token | None = None


_Sealed = tuple[str, str, str, str, str | None, float]


class PendingSignIns:
    """Seal the sign-ins that are under way, until a restart, and open each once. Thread-safe."""

    def __init__(self) -> None:
        self._box = Aead(secrets.token_bytes(Aead.KEY_SIZE))
        self._taken: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def keep(self, begun: Begun, now_s: float) -> Token:
        """Return a sign-in, sealed, for the browser to bring back; it begins at `now_s`."""
        pending, session = begun.pending, begun.session
        back = begun.back if len(begun.back.encode()) <= LONGEST_BACK else "/"
        own = None if session is None else session.reveal()
        texts = [each.reveal() for each in (pending.state, pending.nonce, pending.verifier)]
        return Token(self._box.encrypt(msgspec.json.encode((*texts, back, own, now_s))).hex())

    def take(self, token: Token, now_s: float, *, stays: bool = False) -> Begun | None:
        """Return what was sealed, once unless it `stays`; None where it is over or is none."""
        try:
            sealed = bytes.fromhex(token.reveal())
            opened = self._box.decrypt(sealed)
        except (ValueError, CryptoError):
            return None
        state, nonce, verifier, back, own, begun_s = msgspec.json.decode(opened, type=_Sealed)
        if now_s - begun_s >= KEPT_S or self._is_taken(sealed, stays=stays):
            return None
        pending = Pending(Masked(state), Masked(nonce), Masked(verifier))
        return Begun(pending, back, None if own is None else Token(own))

    def _is_taken(self, sealed: bytes, *, stays: bool) -> bool:
        # Not by the text: it has other spellings.
        digest = hashlib.sha256(sealed).digest()
        with self._lock:
            taken = digest in self._taken
            if not stays:
                self._taken[digest] = None
                if len(self._taken) > MOST_TAKEN:
                    self._taken.popitem(last=False)
        return taken
