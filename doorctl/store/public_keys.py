"""The public keys that a branch trusts: Ed25519 in PEM files.

The 32 bytes are taken out here: `cryptography`'s own reader loads every kind of key there is, which
is 1.3 MB of the web process (measured).
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorctl.errors import KeyFileError
from doorctl.store.key_file import _refuse_unsafe

LARGEST_FILE_BYTES = 16 * 1024
"""An Ed25519 key in PEM has 0.1 KiB; comments may stand before it."""

_PEM: Final = re.compile(
    rb"^-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)^-----END PUBLIC KEY-----\s*$", re.MULTILINE
)

_BEFORE_THE_KEY: Final = bytes.fromhex("302a300506032b6570032100")
"""A SubjectPublicKeyInfo in DER up to the 32 bytes of an Ed25519 key (RFC 8410)."""


def read_public_keys(paths: Sequence[Path]) -> list[Ed25519PublicKey]:
    """Read one public key of each file, in their order.

    Raises:
        KeyFileError: one is missing, not a file, or no Ed25519 public key.
    """
    return [_read_public(path) for path in paths]


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_in_pem(read_pem(path, private=False)))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{path} holds no Ed25519 public key in PEM; copy the .pub file of the sender's key"
        ) from None


def _in_pem(text: bytes) -> bytes:
    found = _PEM.search(text)
    der = binascii.a2b_base64(b"".join(found[1].split()), strict_mode=True) if found else b""
    return der[len(_BEFORE_THE_KEY) :] if der.startswith(_BEFORE_THE_KEY) else b""


def read_pem(path: Path, *, private: bool) -> bytes:
    """Return what a key file begins with.

    Args:
        path: of a regular file.
        private: whether neither its group nor others may be able to read it.

    Raises:
        KeyFileError: it is missing, too open or can't be read.
    """
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing; run `doorctl sync init`") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    try:
        if private:
            _refuse_unsafe(path, descriptor)
        return os.read(descriptor, LARGEST_FILE_BYTES)
    except OSError as error:
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
