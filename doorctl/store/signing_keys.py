"""The sender's signing key and the public keys that a branch trusts: Ed25519 in PEM files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from doorctl.errors import AlreadyExistsError, KeyFileError
from doorctl.store.key_file import _refuse_unsafe
from doorctl.store.new_file import create_private

LARGEST_FILE_BYTES = 16 * 1024
"""An Ed25519 key in PEM has 0.1 KiB; comments may stand before it."""


def create_signing_key(private: Path, public: Path) -> None:
    """Write a new pair, durably: the private key with mode 0600, the public one with 0644.

    Raises:
        AlreadyExistsError: something stands at one of the paths; nothing was touched.
        KeyFileError: a file can't be written.
    """
    key = Ed25519PrivateKey.generate()
    _create(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    try:
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _create(private, secret)
    except BaseException:
        # Half a pair would stand in the way of the next attempt.
        public.unlink()
        raise
    public.chmod(0o644)


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read the private key of a regular file that neither its group nor others can read.

    Raises:
        KeyFileError: it is missing, too open, not a file, or no Ed25519 key without a password.
    """
    try:
        key = load_pem_private_key(_read(path, private=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path} holds no Ed25519 private key in PEM without a password; "
            "put the right one back from its backup"
        )
    return key


def read_public_keys(paths: Sequence[Path]) -> list[Ed25519PublicKey]:
    """Read one public key of each file, in their order.

    Raises:
        KeyFileError: one is missing, not a file, or no Ed25519 public key.
    """
    return [_read_public(path) for path in paths]


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_read(path, private=False))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(
            f"{path} holds no Ed25519 public key in PEM; copy the .pub file of the sender's key"
        )
    return key


def _create(path: Path, content: bytes) -> None:
    try:
        create_private(path, content)
    except FileExistsError:
        raise AlreadyExistsError(
            f"{path} already exists; a new key would have to be given to every branch"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror}") from error


def _read(path: Path, *, private: bool) -> bytes:
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
