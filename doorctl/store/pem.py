"""How 32 bytes of an Ed25519 key stand in a PEM file (RFC 8410), read and written.

By hand, for it is two constant beginnings: a library's reader loads every kind of key there is.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import NamedTuple

from doorctl.store.key_file import read_key_file

LARGEST_FILE_BYTES = 16 * 1024
"""An Ed25519 key in PEM has 0.1 KiB; comments may stand before it."""


class Form(NamedTuple):
    """One half of a pair in a file.

    Args:
        label: between the dashes.
        before: what DER writes before the 32 bytes.
        private: whether nobody else may be able to read the file.
    """

    label: bytes
    before: bytes
    private: bool


PUBLIC = Form(b"PUBLIC KEY", bytes.fromhex("302a300506032b6570032100"), private=False)
"""A SubjectPublicKeyInfo."""

PRIVATE = Form(b"PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420"), private=True)
"""PKCS #8 without a password and without the public half, as `openssl genpkey` makes it."""


def written(form: Form, key: bytes) -> bytes:
    """Return the text of a file."""
    text = base64.b64encode(form.before + key)
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (form.label, text, form.label)


def read(form: Form, path: Path) -> bytes:
    """Return a file's first key of a form, whatever stands around it; nothing if that is damaged.

    What comes back may have any length: who uses it as a key sees whether it is one.

    Raises:
        KeyFileError: see :func:`read_key_file`.
    """
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
