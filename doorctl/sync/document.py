"""A push as a document: its signature and manifest, how it is written, and how it is unpacked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import IO, Annotated, BinaryIO, Final, Literal

import msgspec
from msgspec import Meta, Struct
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _SigningKey
from nacl.signing import VerifyKey as _VerifyKey

from doorctl.core.errors import InputError, Problem, PushInvalidError, PushUnsignedError
from doorctl.core.ports import Positive, Seal
from doorctl.sync.rows import Line, NotJsonError, Removal, Tag, decoded, encode, wrong

# The signature under a push: Ed25519 (RFC 8032).
#
# libsodium makes it, for a seventh of the memory that `cryptography` takes: 1.1 MB of the web
# process in place of 8.0 (measured). It also rejects keys of an order so small that anybody
# could sign.

SIGNATURE_BYTES: Final = 64


class VerifyKey:
    """A sender's public key, of 32 bytes, else ValueError; a branch checks a push by it."""

    __slots__ = ("_key", "content")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._key = _VerifyKey(content)

    def has_signed(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of any length is this key's, of exactly this message."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            self._key.verify(message, signature)
        except BadSignatureError:
            return False
        return True


class SigningKey:
    """A sender's secret key, of 32 bytes, else ValueError; without them it is a new random one."""

    __slots__ = ("_key",)

    def __init__(self, content: bytes | None = None) -> None:
        self._key = _SigningKey.generate() if content is None else _SigningKey(content)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a message's signature; the same ones each time."""
        return self._key.sign(message).signature

    def verify_key(self) -> VerifyKey:
        """Return the public half."""
        return VerifyKey(bytes(self._key.verify_key))

    def content(self) -> bytes:
        """Return the 32 secret bytes, to be kept in a file."""
        return bytes(self._key)


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


SPOOLED_IN_MEMORY_BYTES = 1024 * 1024
"""A document of changes stays in memory; a snapshot goes to an unnamed file."""

LEVEL = 6
"""gzip's usual level: row keys and PIN checks are noise, so more effort saves nothing."""


def write_document(
    target: BinaryIO,
    lines: Iterable[Line],
    *,
    branch: str,
    kind: Kind,
    epoch: int,
    previous_epoch: int,
    seal: Seal,
    minimum_age: int,
    approved_by: str | None,
    private_key: SigningKey,
    compress: bool,
) -> Manifest:
    """Write a signed push to where `target` stands, return its manifest; memory stays flat.

    The same lines and numbers give the same bytes. Other arguments are as in `Manifest`. Raises
    OSError: the disk failed, that of `target` or that of the machine's temporary files. ValueError:
    a removal stands in a snapshot; nothing was written.
    """
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED_IN_MEMORY_BYTES) as spool:
        count, sha256 = _spool(spool, lines, kind)
        unsigned = Manifest(
            format=FORMAT,
            branch=branch,
            kind=kind,
            epoch=epoch,
            previous_epoch=previous_epoch,
            count=count,
            sha256=sha256,
            seal=seal,
            minimum_age=minimum_age,
            approved_by=approved_by,
        )
        manifest = sign(unsigned, private_key)
        spool.seek(0)
        packed = gzip.GzipFile("", "wb", LEVEL, target, mtime=0) if compress else None
        with packed or nullcontext(target) as file:
            file.write(written(manifest))
            shutil.copyfileobj(spool, file)
    return manifest


def _spool(spool: IO[bytes], lines: Iterable[Line], kind: Kind) -> tuple[int, str]:
    count = 0
    digest = hashlib.sha256()
    for line in lines:
        if kind == "snapshot" and isinstance(line, Removal):
            raise ValueError("a snapshot removes by leaving out; a removal stands in changes only")
        data = encode(line)
        digest.update(data)
        spool.write(data)
        count += 1
    return count, digest.hexdigest()


# Bytes of a push as they come, plain or gzip, in pieces that stay small.

PIECE_BYTES = 64 * 1024
"""Most bytes that a gzip bomb can unpack before its size is checked."""

GZIP_BYTE = 0x1F
"""The first byte of gzip's magic (RFC 1952); a manifest begins with ``{``."""

_ONLY_GZIP = 16 + zlib.MAX_WBITS


class UnpackingError(ValueError):
    """The bytes can't be unpacked; the text quotes nothing of them."""


class Unpacking:
    """Tell plain bytes from gzip by their first one and unpack them."""

    def __init__(self) -> None:
        self._is_gzip: bool | None = None
        self._inflation = zlib.decompressobj(_ONLY_GZIP)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk unpacks to, at most `PIECE_BYTES` of gzip at a time.

        Raises UnpackingError: the gzip stream is damaged, or bytes follow it.
        """
        if self._is_gzip is None and chunk:
            self._is_gzip = chunk[0] == GZIP_BYTE
        if self._is_gzip:
            yield from self._inflated(chunk)
        else:
            yield chunk

    def finish(self) -> None:
        """Check that a gzip stream is complete; else raise UnpackingError."""
        if self._is_gzip and not self._inflation.eof:
            raise UnpackingError("gzip: cut off; send it again")

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and not self._inflation.eof:
            try:
                yield self._inflation.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise UnpackingError("gzip: damaged; send it again") from None
            chunk = self._inflation.unconsumed_tail
        if chunk or self._inflation.unused_data:
            raise UnpackingError("gzip: bytes follow its end; send one gzip stream")
