"""The reader's Secure Channel base key in its file: read, and written with the one that follows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from doorctl.core.errors import KeyFileError
from doorctl.core.masked import Masked
from doorctl.store.keys import put, read_key_file

SCBK_BYTES = 16

SCBK_D = bytes(range(0x30, 0x40))
"""The published key of every reader in its set-up mode (OSDP v2.2, annex D): it keeps no secret."""


MADE_BY = "doorctl keys reader --install"


class ReaderKey(Masked[bytes]):
    """A base key (SCBK), 16 bytes: reader and door know each other by it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ReaderKeys:
    """What a file holds: the key that the reader has, and the one that it is being given.

    In the file they are 16 bytes each, in this order; SCBK-D stands for a `present` key of None,
    where the reader was given none yet. `coming` stays until the reader has answered with it, so
    that one of both is right wherever the power was cut.
    """

    present: ReaderKey | None
    coming: ReaderKey | None = None

    @property
    def known(self) -> tuple[ReaderKey, ...]:
        """The keys with which the reader may answer; one or two, and never SCBK-D."""
        return tuple(key for key in (self.present, self.coming) if key is not None)


def new_key() -> ReaderKey:
    """Return a random key; libosdp's own `KeyStore.gen_key` draws by a generator that is none."""
    return ReaderKey(secrets.token_bytes(SCBK_BYTES))


def read_keys(path: Path) -> ReaderKeys:
    """Read a key file that its owner alone can read; KeyFileError says what is wrong with it."""
    content = read_key_file(path, 2 * SCBK_BYTES + 1, made_by=MADE_BY, private=True)
    if len(content) not in (SCBK_BYTES, 2 * SCBK_BYTES) or content[-SCBK_BYTES:] == SCBK_D:
        raise KeyFileError(
            f"{path} holds no key of this door's reader, which is {SCBK_BYTES} bytes and not the "
            f"published default; move it away and run `{MADE_BY}`"
        )
    first, second = content[:SCBK_BYTES], content[SCBK_BYTES:]
    return ReaderKeys(
        None if first == SCBK_D else ReaderKey(first), ReaderKey(second) if second else None
    )


def write_keys(path: Path, keys: ReaderKeys) -> None:
    """Write or replace a key file, 0600 and durable, whole or not at all; KeyFileError."""
    present = SCBK_D if keys.present is None else keys.present.reveal()
    put(path, present + (b"" if keys.coming is None else keys.coming.reveal()))
