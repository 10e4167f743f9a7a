"""The first line of a push: its manifest, and the signature in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from doorctl.core.errors import InputError, Problem, PushInvalidError, PushUnsignedError
from doorctl.core.ports import Positive, Seal
from doorctl.sync.json_lines import NotJsonError, decoded
from doorctl.sync.rows import Tag
from doorctl.sync.signing import SigningKey, VerifyKey
from doorctl.sync.wire import wrong

SUBJECT = "push"
"""The name of a push in problems, since it has no file name."""

FORMAT: Literal["doorctl-patrons/1"] = "doorctl-patrons/1"

Kind = Literal["snapshot", "changes"]
"""A snapshot is the whole register; changes follow on the push before."""

Number = Annotated[
    int, Meta(ge=0, le=2**63 - 1, description="give a whole number from 0 to 2^63 - 1")
]

BranchName = Annotated[
    str, Meta(pattern=r"\A[a-z0-9-]{1,32}\Z", description="give 1 to 32 of a-z, 0-9 and -")
]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first line of a push: its number, its branch, its rows and its signature.

    Args:
        previous_epoch: the push that changes follow on; lower than `epoch`, 0 for none.
        count: rows and removals, which is lines without this one.
        sha256: of all bytes after this line, uncompressed, in hex.
        minimum_age: years that `enter_from` was computed for.
        approved_by: who has approved of a push that the guard refuses.
        signature: Ed25519, base64, of the line without it; empty before it is signed.
    """

    format: Annotated[Literal["doorctl-patrons/1"], Meta(description=f'give "{FORMAT}"')]
    branch: BranchName
    kind: Annotated[Kind, Meta(description='give "snapshot" or "changes"')]
    epoch: Positive
    previous_epoch: Number
    count: Number
    sha256: Annotated[
        str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="give 64 hex digits in lower case")
    ]
    seal: Annotated[Seal, Meta(description="give an object with key_id, memory_kib and iterations")]
    minimum_age: Annotated[int, Meta(ge=0, le=150, description="give a whole number from 0 to 150")]
    approved_by: Annotated[
        Tag | None,
        Meta(description="give a name of 1 to 64 letters or leave it out"),
    ] = None
    signature: Annotated[str, Meta(max_length=88, description="give the base64 of 64 bytes")] = ""

    def __post_init__(self) -> None:
        if self.previous_epoch >= self.epoch:
            raise ValueError("previous_epoch: not before epoch; give a lower number")


LONGEST_NAME = 64
"""Characters of an approver's name, as in `Manifest.approved_by`."""


def refuse_odd_name(name: str | None) -> None:
    """Refuse an approval whose name is empty, too long, unprintable or padded, by InputError."""
    if name is not None and not (
        name.isprintable() and name == name.strip() and 0 < len(name) <= LONGEST_NAME
    ):
        raise InputError(f"--approved-by takes a name of 1 to {LONGEST_NAME} letters")


def written(manifest: Manifest) -> bytes:
    r"""Return the one way to write a manifest, with its ``\n``."""
    return msgspec.json.encode(manifest, order="deterministic") + b"\n"


def sign(manifest: Manifest, private_key: SigningKey) -> Manifest:
    """Return the manifest with its signature."""
    signature = base64.b64encode(private_key.sign(_signed_bytes(manifest))).decode()
    return msgspec.structs.replace(manifest, signature=signature)


def verify(manifest: Manifest, public_keys: Sequence[VerifyKey]) -> None:
    """Check that one of the keys has signed the manifest; else raise PushUnsignedError."""
    signature = signature_of(manifest.signature)
    message = _signed_bytes(manifest)
    if not any(key.has_signed(signature, message) for key in public_keys):
        raise PushUnsignedError(
            "the push is signed by no key of this branch; give the branch the sender's public key"
        )


def read_manifest(line: bytes) -> Manifest:
    r"""Read the first line of a push, with or without its ``\n``; the signature is not checked.

    Raises PushInvalidError: it is no manifest, or not written as :func:`written` writes it, which
    leaves no room for a second meaning.
    """
    line = line.removesuffix(b"\n")
    manifest = _typed(line)
    if isinstance(manifest, Manifest) and written(manifest) == line + b"\n":
        return manifest
    problem = (
        "not written in the one way that is accepted; write the keys in their order, no blanks"
        if isinstance(manifest, Manifest)
        else manifest
    )
    raise PushInvalidError(SUBJECT, [Problem("line 1", problem)])


def _typed(line: bytes) -> Manifest | str:
    try:
        value = decoded(line)
    except NotJsonError as error:
        return str(error)
    try:
        return msgspec.convert(value, Manifest)
    except msgspec.ValidationError:
        return wrong(value, Manifest)


def _signed_bytes(manifest: Manifest) -> bytes:
    return written(msgspec.structs.replace(manifest, signature="")).removesuffix(b"\n")


def signature_of(written: str) -> bytes:
    """Return the bytes of a signature in base64; none where it is not spelt in the one right way.

    The last letter has unused bits, so it has several spellings.
    """
    try:
        signature = base64.b64decode(written, validate=True)
    except ValueError:
        return b""
    return signature if base64.b64encode(signature).decode() == written else b""
