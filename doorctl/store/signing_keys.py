"""Ed25519 keys in PEM files (RFC 8410): made, read and written.

That is done by hand, for a file is one of two constant beginnings and 32 bytes: a library's reader
loads every kind of key there is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from doorctl.core.errors import KeyFileError
from doorctl.core.identity import owner_of

if TYPE_CHECKING:
    # A door signs nothing, and needs no NaCl.
    from doorctl.sync.signing import SigningKey, VerifyKey
from doorctl.store.keys import create_file, read_key_file

LARGEST_FILE_BYTES = 16 * 1024
"""An Ed25519 key in PEM has 0.1 KiB; comments may stand before it."""


class Form(NamedTuple):
    """One half of a pair in a file; only its owner may read a private one.

    Args:
        label: between the dashes.
        before: what DER writes before the 32 bytes.
    """

    label: bytes
    before: bytes
    private: bool


PUBLIC = Form(b"PUBLIC KEY", bytes.fromhex("302a300506032b6570032100"), private=False)
"""A SubjectPublicKeyInfo."""

PRIVATE = Form(b"PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420"), private=True)
"""PKCS #8 without a password and without the public half, as `openssl genpkey` makes it."""


def written(form: Form, key: bytes) -> bytes:
    """Return the PEM text of a key."""
    text = base64.b64encode(form.before + key)
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (form.label, text, form.label)


def read(form: Form, path: Path) -> bytes:
    """Return a file's first key of a form, of any length, none if damaged. KeyFileError."""
    text = read_key_file(
        path, LARGEST_FILE_BYTES, made_by="doorctl sync init", private=form.private
    )
    # Another key may follow one that is cut off; it is not taken in its place.
    _, begun, rest = text.partition(b"-----BEGIN %b-----" % form.label)
    inside, ended, _ = rest.partition(b"-----END %b-----" % form.label)
    try:
        der = binascii.a2b_base64(b"".join(inside.split()), strict_mode=True)
    except binascii.Error:
        return b""
    whole = begun and ended and der.startswith(form.before)
    return der[len(form.before) :] if whole else b""


def create_signing_key(private: Path, public: Path) -> None:
    """Write a new pair, modes 0600 and 0644, or nothing: AlreadyExistsError, KeyFileError."""
    from doorctl.sync.signing import SigningKey  # noqa: PLC0415 - as said above

    key, costs = SigningKey(), "have to be given to every branch"
    with owner_of(private.parent):
        create_file(public, written(PUBLIC, key.verify_key().content), costs)
        try:
            create_file(private, written(PRIVATE, key.content()), costs)
        except BaseException:
            # Half a pair would stand in the way of the next attempt.
            public.unlink()
            raise
        public.chmod(0o644)


def read_signing_key(path: Path) -> SigningKey:
    """Read the private key of a file that its owner alone can read; raises KeyFileError."""
    from doorctl.sync.signing import SigningKey  # noqa: PLC0415 - as said above

    try:
        return SigningKey(read(PRIVATE, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 private key in PEM without a password; "
            "put the right one back from its backup"
        ) from None


def read_public_keys(paths: Sequence[Path]) -> list[VerifyKey]:
    """Read one public key of each file, in their order; raises KeyFileError."""
    return [_read_public(path) for path in paths]


def _read_public(path: Path) -> VerifyKey:
    from doorctl.sync.signing import VerifyKey  # noqa: PLC0415 - as said above

    try:
        return VerifyKey(read(PUBLIC, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 public key in PEM; copy the .pub file of the sender's key"
        ) from None
