"""Writing a push: rows go to a spool first, since the manifest counts and hashes them."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from doorctl.sync.manifest import FORMAT, Kind, Manifest, SealedWith, sign, written
from doorctl.sync.signatures import SigningKey
from doorctl.sync.wire import Line, Removal, encode

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
    seal: SealedWith,
    minimum_age: int,
    approved_by: str | None,
    private_key: SigningKey,
    compress: bool,
) -> Manifest:
    """Write a signed push; the same lines and numbers give the same bytes. Memory stays flat.

    Args:
        target: is written from where it stands and left open.
        lines: read once.
        branch: the branch's id.
        kind: "snapshot" for the whole register, which removes nobody by name, or "changes".
        epoch: the push's number.
        previous_epoch: what the branch holds before; below `epoch`.
        seal: what the rows were sealed with.
        minimum_age: years that `enter_from` was computed for.
        approved_by: who approves of it whatever the guard says.
        private_key: the sender's.
        compress: whether to write it with gzip.

    Returns:
        The manifest as it was signed.

    Raises:
        OSError: the disk failed, that of `target` or that of the machine's temporary files.
        ValueError: a removal stands in a snapshot; nothing was written.
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
        with _packed(target, compress=compress) as file:
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


@contextmanager
def _packed(target: BinaryIO, *, compress: bool) -> Iterator[BinaryIO | gzip.GzipFile]:
    if not compress:
        yield target
        return
    with gzip.GzipFile("", "wb", LEVEL, target, mtime=0) as file:
        yield file
