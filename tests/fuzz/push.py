"""Pushes: as they travel, and rows that the right sender has signed, plain and packed."""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import replace

import msgspec

from doorctl.core.errors import PushError
from doorctl.sync.document import read_manifest, sign, written
from doorctl.sync.wire import Line, Removal, encode
from tests.sync.pushes import KEY, LIMITS, OTHER_KEY, Document, row, stage

RAW, SIGNED, PACKED = range(3)
"""What an input's first byte, modulo 3, says of the rest: a document, or rows to be signed."""

DOCUMENT = Document([row(1), row(2, blocks="E")])
CHANGED = Document([row(1), Removal("2")], "changes", epoch=6, previous_epoch=5)
ROWS = b"".join(map(encode, DOCUMENT.lines))
FORGED = (
    replace(DOCUMENT, key=OTHER_KEY).data(),
    replace(DOCUMENT, branch="syd").data(),
    DOCUMENT.data().replace(b'"epoch":1,', b'"epoch":7,'),
    DOCUMENT.data(compress=True) + b"x",
)
SEEDS = (
    b"\x00" + DOCUMENT.data(),
    b"\x00" + DOCUMENT.data(compress=True),
    b"\x00" + CHANGED.data(),
    b"\x01" + ROWS,
    b"\x01" + encode(Removal("2")),
    b"\x02" + ROWS,
    *(b"\x00" + forged for forged in FORGED),
)
WORDS = (
    b"\n", b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"1e999", b"-0", b"NaN",
    b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b'"remove":', b'{"remove":"2"}\n', b"\x1f\x8b",
    b"[" * 200, b"9" * 40, b'"9999-12-31"', b'"0000-00-00"', b"\\u0000",
)  # fmt: skip
LONGEST = 8_000
CHUNK_BYTES = 17

GENUINE = {DOCUMENT.data(), CHANGED.data()}
MANIFEST = read_manifest(DOCUMENT.data().splitlines(keepends=True)[0])


def check(data: bytes) -> None:
    """Check one input: refused as documented, or applied whole; cut it is answered the same.

    Of what was not signed here nothing may be applied but what was signed before.
    """
    way = data[0] % 3 if data else RAW
    document = data[1:] if way == RAW else _signed(data[1:])
    if way == PACKED:
        document = gzip.compress(document, 1, mtime=0)
    whole = _answer(document)
    if way == RAW and not isinstance(whole, str):
        plain = gzip.decompress(document) if document.startswith(b"\x1f") else document
        assert plain in GENUINE, "what nobody signed would be applied"
    cut = _answer(*(document[at : at + CHUNK_BYTES] for at in range(0, len(document), CHUNK_BYTES)))
    if isinstance(whole, str) and document.startswith(b"\x1f"):
        # Damage is found with the first rows or with the last, as zlib unfolds them.
        assert isinstance(cut, str), "packed and cut, it would be applied"
    else:
        assert cut == whole, "cut, it is answered otherwise"


def _signed(rows: bytes) -> bytes:
    kind = "changes" if b'"remove"' in rows else "snapshot"
    fields = {"kind": kind, "count": rows.count(b"\n"), "sha256": hashlib.sha256(rows).hexdigest()}
    return written(sign(msgspec.structs.replace(MANIFEST, **fields), KEY)) + rows


def _answer(*chunks: bytes) -> str | list[Line]:
    """Return the lines of a push that would be applied, or why it is refused."""
    try:
        staged = stage(*chunks, limits=replace(LIMITS, max_bytes=64 * 1024))
        lines = list(staged.lines())
    except PushError as error:
        return f"{type(error).__name__}: {error}"
    assert len(lines) == staged.manifest.count, "rows are missing"
    assert isinstance(staged.spool, io.BytesIO)
    digest = hashlib.sha256(staged.spool.getvalue()).hexdigest()
    assert digest == staged.manifest.sha256, "not the rows that were signed"
    return lines
