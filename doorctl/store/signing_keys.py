"""The sender's signing key, and the public one that goes to the branches: Ed25519 in PEM files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from doorctl.errors import AlreadyExistsError, KeyFileError
from doorctl.identity import owner_of
from doorctl.store import pem
from doorctl.store.new_file import create_private
from doorctl.sync.signatures import SigningKey, VerifyKey


def create_signing_key(private: Path, public: Path) -> None:
    """Write a new pair, durably: the private key with mode 0600, the public one with 0644.

    Raises:
        AlreadyExistsError: something stands at one of the paths; nothing was touched.
        KeyFileError: a file can't be written.
    """
    with owner_of(private.parent):
        _create_pair(private, public)


def _create_pair(private: Path, public: Path) -> None:
    key = SigningKey()
    _create(public, pem.written(pem.PUBLIC, key.verify_key().content))
    try:
        _create(private, pem.written(pem.PRIVATE, key.content()))
    except BaseException:
        # Half a pair would stand in the way of the next attempt.
        public.unlink()
        raise
    public.chmod(0o644)


def read_signing_key(path: Path) -> SigningKey:
    """Read the private key of a regular file that neither its group nor others can read.

    Raises:
        KeyFileError: it is missing, too open, not a file, or no Ed25519 key without a password.
    """
    try:
        return SigningKey(pem.read(pem.PRIVATE, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 private key in PEM without a password; "
            "put the right one back from its backup"
        ) from None


def read_public_keys(paths: Sequence[Path]) -> list[VerifyKey]:
    """Read one public key of each file, in their order.

    Raises:
        KeyFileError: one is missing, not a file, or no Ed25519 public key.
    """
    return [_read_public(path) for path in paths]


def _read_public(path: Path) -> VerifyKey:
    try:
        return VerifyKey(pem.read(pem.PUBLIC, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 public key in PEM; copy the .pub file of the sender's key"
        ) from None


def _create(path: Path, content: bytes) -> None:
    try:
        create_private(path, content)
    except FileExistsError:
        raise AlreadyExistsError(
            f"{path} already exists; a new key would have to be given to every branch"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror}") from error
