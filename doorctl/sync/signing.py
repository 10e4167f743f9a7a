"""The signature under a push: Ed25519 (RFC 8032).

libsodium makes it, for a seventh of the memory that `cryptography` takes: 1.1 MB of the web process
in place of 8.0 (measured). It also rejects keys of an order so small that anybody could sign.
"""

from __future__ import annotations

from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _SigningKey
from nacl.signing import VerifyKey as _VerifyKey

SIGNATURE_BYTES: Final = 64


class VerifyKey:
    """A sender's public key, of 32 bytes, else ValueError; a branch checks a push by it."""

    __slots__ = ("_key", "content")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._key = _VerifyKey(content)

    def has_signed(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of any length is this key's, of exactly this message."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            self._key.verify(message, signature)
        except BadSignatureError:
            return False
        return True


class SigningKey:
    """A sender's secret key, of 32 bytes, else ValueError; without them it is a new random one."""

    __slots__ = ("_key",)

    def __init__(self, content: bytes | None = None) -> None:
        self._key = _SigningKey.generate() if content is None else _SigningKey(content)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a message's signature; the same ones each time."""
        return self._key.sign(message).signature

    def verify_key(self) -> VerifyKey:
        """Return the public half."""
        return VerifyKey(bytes(self._key.verify_key))

    def content(self) -> bytes:
        """Return the 32 secret bytes, to be kept in a file."""
        return bytes(self._key)
