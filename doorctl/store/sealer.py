"""Sealing: an identifier becomes its row key so slowly that a stolen database reveals none.

A database is also rewritten for a key that was laid over the old one. No card's number has to be
known for that, so nothing is lost: no ban of a card that is in no register, no pass by a code, no
count of wrong PINs. A tombstone's mark can't be rewritten and need not be: no push of the old key
is taken any more, and a patron's number stays what it was.
"""

from __future__ import annotations

import hmac
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.patron import KEY_BYTES, key_parts, overlaid
from doorctl.config.tables import Seal as Cost
from doorctl.core.masked import Identifier, InstallationKey, StretchedKey
from doorctl.core.ports import Seal
from doorctl.privacy.tables import CARD, PATRONS
from doorctl.store.connection import open_reader, translated
from doorctl.store.tables import KEY_SUM, key_sum, person_tables
from doorctl.store.writer import Writer

MEMORY_KIB = 19456
"""OWASP's minimum for Argon2id with 2 iterations; about 0.3 s on the smallest Pi (estimate)."""

ITERATIONS = 2
"""Passes over the memory that go with :data:`MEMORY_KIB`."""


def key_id(key: InstallationKey) -> str:
    """Name a key by 8 hex digits: ``HMAC-SHA256(key, "id")``, cut."""
    return hmac.digest(key.reveal(), b"id", "sha256").hex()[:8]


def first_key(key: InstallationKey) -> InstallationKey:
    """Return the oldest key: all others are laid over it, and it makes the salt."""
    return InstallationKey(key.reveal()[:KEY_BYTES])


def earlier_keys(key: InstallationKey) -> tuple[InstallationKey, ...]:
    """Return the keys that this one replaced, the last one first."""
    ends = range(len(key.reveal()) - KEY_BYTES, 0, -KEY_BYTES)
    return tuple(InstallationKey(key.reveal()[:end]) for end in ends)


def links(key: InstallationKey) -> tuple[bytes, ...]:
    """Return the link that lays each later key over the one before it; see `overlaid`."""
    return tuple(hmac.digest(part, b"link", "sha256") for part in key_parts(key.reveal())[1:])


class ArgonSealer:
    """Stretch identifiers with Argon2id under the newest installation key (design, section 4).

    Thread-safe; each call holds `memory_kib` for its duration and lets other threads run. Only
    tests give lower costs than the defaults.
    """

    def __init__(
        self, key: InstallationKey, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS
    ) -> None:
        self.seal, *earlier = (
            Seal(key_id(any_key), memory_kib, iterations) for any_key in (key, *earlier_keys(key))
        )
        self.earlier = tuple(earlier)
        self._salt = hmac.digest(first_key(key).reveal(), b"salt", "sha256")
        self._links = b"".join(links(key))

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K``, 32 bytes of Argon2id over identifier and kind, then later keys' links."""
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


def sealer_of(key: InstallationKey, cost: Cost) -> ArgonSealer:
    """Return the sealer of a key, at the costs of a configuration."""
    return ArgonSealer(key, cost.memory_kib, cost.iterations)


def seal_on_record(path: Path) -> Seal | None:
    """Return the seal that a cache was last filled with, None for a bare file; StoreError."""
    with translated(path), closing(open_reader(path)) as database:
        record = database.execute("SELECT key_id, memory_kib, iterations FROM cache").fetchone()
    return None if record is None else Seal(*record)


def lay_over(writer: Writer, key: InstallationKey) -> bool:
    """Rewrite a database from the key before to the newest; return whether that was necessary.

    In one durable transaction, and only once, however often it is called. Raises StoreError:
    nothing was changed.
    """
    path, mark = writer.path, int(key_id(key), 16) >> 1
    with writer.transaction() as connection:
        if connection.execute("PRAGMA application_id").fetchone() == (mark,):
            return False
        if path.name == PATRONS and not _restamped(connection, key):
            return False
        link = links(key)[-1:]
        connection.create_function("overlaid", 1, lambda value: value and overlaid(value, link))
        connection.create_function("summed", 3, partial(_summed, link))
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for table in person_tables(path.name):
            of_card = [name for name in (CARD, "pin_check") if name in table.names]
            if not of_card:
                continue
            values = ", ".join(f"{name} = overlaid({name})" for name in of_card)
            if KEY_SUM in table.names:
                values += ", key_sum = summed(key_sum, row_key, pin_check)"
            # What a start in between has counted gives way to what was counted before.
            connection.execute(
                f"UPDATE OR REPLACE {table.name} SET {values} WHERE row_key <> ?",  # noqa: S608 -- ours
                (CODES_KEY,),
            )
        connection.execute(f"PRAGMA application_id = {mark}")
    return True


def _summed(
    link: tuple[bytes, ...], total: int | None, row_key: bytes, check: bytes | None
) -> int | None:
    """Return a row's checksum under the newest key; one that is wrong stays so."""
    if total is None or total != key_sum(row_key, check):
        return total
    return key_sum(overlaid(row_key, link), check and overlaid(check, link))


def _restamped(connection: sqlite3.Connection, key: InstallationKey) -> bool:
    """Record the newest key in a cache of the key before; without a digest all is sent again."""
    change = "UPDATE cache SET key_id = ?, digest = '' WHERE key_id = ?"
    before = key_id(earlier_keys(key)[0])
    return connection.execute(change, (key_id(key), before)).rowcount == 1
