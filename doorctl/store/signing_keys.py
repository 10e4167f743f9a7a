"""The sender's signing key, and the public one that goes to the branches: Ed25519 in PEM files."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from doorctl.errors import AlreadyExistsError, KeyFileError
from doorctl.store.new_file import create_private
from doorctl.store.public_keys import read_pem


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
        key = load_pem_private_key(read_pem(path, private=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path} holds no Ed25519 private key in PEM without a password; "
            "put the right one back from its backup"
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
