"""Passwords stretched with Argon2id, one at a time: each takes 19 MiB of a small machine."""

from __future__ import annotations

import secrets
from threading import Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from doorctl.accounts.passwords import Password

MEMORY_KIB, ITERATIONS, LANES = 19_456, 2, 1
"""OWASP's least (Password Storage Cheat Sheet); argon2-cffi's own is 64 MiB."""

NOBODYS_BYTES = 32
"""What an unknown account's password is compared with: nobody can have typed it."""


class ArgonPasswords:
    """Hash passwords; implements `PasswordHasher` of accounts. Thread-safe.

    Args:
        memory_kib: lower only for tests.
        iterations: the same.
    """

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS) -> None:
        self._argon = PasswordHasher(iterations, memory_kib, LANES)
        self._one_at_a_time = Lock()
        self._nobodys: str | None = None

    def hashed(self, password: Password) -> str:
        """Return a new hash, with its salt and cost in it."""
        with self._one_at_a_time:
            return self._argon.hash(_as_bytes(password))

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Tell whether a password is the hash's; with None it takes as long and is not."""
        with self._one_at_a_time:
            # Whoever comes first pays for it, known or not, and no start of web does.
            if self._nobodys is None:
                self._nobodys = self._argon.hash(secrets.token_bytes(NOBODYS_BYTES))
            try:
                self._argon.verify(hashed or self._nobodys, _as_bytes(password))
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def is_old(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than today's."""
        return self._argon.check_needs_rehash(hashed)


def _as_bytes(password: Password) -> bytes:
    # What is no text comes in too, through a form or a pipe, and fits no hash.
    return password.reveal().encode(errors="surrogatepass")
