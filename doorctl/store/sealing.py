"""Turning an identifier into the key of its row, so slowly that a stolen database says nothing."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from argon2.low_level import Type, hash_secret_raw

from doorctl.access.patron import KEY_BYTES, key_parts
from doorctl.masked import Identifier, InstallationKey, StretchedKey

MEMORY_KIB = 19456
"""OWASP's minimum for Argon2id with 2 iterations; about 0.3 s on the smallest Pi (estimate)."""

ITERATIONS = 2
"""Passes over the memory that go with :data:`MEMORY_KIB`."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What rows were sealed with; kept beside them, because no other seal finds them.

    Args:
        key_id: names the installation key without telling anything of it.
        memory_kib: Argon2id's memory in KiB.
        iterations: Argon2id's passes.
    """

    key_id: str
    memory_kib: int
    iterations: int


def key_id(key: InstallationKey) -> str:
    """Name a key by 8 hex digits: ``HMAC-SHA256(key, "id")``, cut."""
    return hmac.digest(key.reveal(), b"id", "sha256").hex()[:8]


def first_key(key: InstallationKey) -> InstallationKey:
    """Return the key over which all others were laid: it salts, and it stays."""
    return InstallationKey(key.reveal()[:KEY_BYTES])


def earlier_keys(key: InstallationKey) -> tuple[InstallationKey, ...]:
    """Return the keys that this one took the place of, the last one first."""
    ends = range(len(key.reveal()) - KEY_BYTES, 0, -KEY_BYTES)
    return tuple(InstallationKey(key.reveal()[:end]) for end in ends)


def links(key: InstallationKey) -> tuple[bytes, ...]:
    """Return what lays each later key over the one before it; see `overlaid`."""
    return tuple(hmac.digest(part, b"link", "sha256") for part in key_parts(key.reveal())[1:])


class ArgonSealer:
    """Stretch identifiers with Argon2id under the installation key (design, section 4).

    Thread-safe; each call holds `memory_kib` for its duration and lets other threads run.

    Args:
        key: the newest.
        memory_kib: Argon2id's memory in KiB; lower than the default only for tests.
        iterations: Argon2id's passes.
    """

    def __init__(
        self, key: InstallationKey, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS
    ) -> None:
        self.seal, *earlier = (
            Seal(key_id(one), memory_kib, iterations) for one in (key, *earlier_keys(key))
        )
        self.earlier = tuple(earlier)
        self._salt = hmac.digest(first_key(key).reveal(), b"salt", "sha256")
        self._links = b"".join(links(key))

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K``: 32 bytes of Argon2id over the identifier with its kind, one lane.

        The links of later keys follow them.
        """
        stretched = hash_secret_raw(
            secret=identifier.reveal().encode(),
            salt=self._salt,
            time_cost=self.seal.iterations,
            memory_cost=self.seal.memory_kib,
            parallelism=1,
            hash_len=KEY_BYTES,
            type=Type.ID,
        )
        return StretchedKey(stretched + self._links)
