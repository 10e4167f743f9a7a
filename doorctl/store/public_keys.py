"""The public keys that a branch trusts: Ed25519 in PEM files.

The 32 bytes are taken out here: `cryptography`'s own reader loads every kind of key there is, which
is 1.3 MB of the web process (measured).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorctl.errors import KeyFileError
from doorctl.store.key_file import read_key_file

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
    """Return what a file of a signing key begins with; see :func:`read_key_file`."""
    return read_key_file(path, LARGEST_FILE_BYTES, made_by="doorctl sync init", private=private)
