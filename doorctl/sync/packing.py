"""A push as it travels, one gzip stream (RFC 1952) of which branches share the greater part.

What is a branch's own, the manifest, stands before the rows in a deflate block that ends at a whole
byte (RFC 1951, section 3.2.4). The rows are packed by themselves and refer to nothing before them,
so that one packing of theirs ends the stream of each branch that gets the same rows.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
import zlib
from collections.abc import Iterable
from io import SEEK_END, SEEK_SET
from pathlib import Path
from typing import IO

from doorctl.sync.document import Kind, Manifest, written
from doorctl.sync.wire import Line, Removal, encode

LEVEL = 6
"""gzip's usual level: row keys and PIN checks are noise, so more effort saves nothing."""

CHUNK_BYTES = 65_536

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of the stream: no name and no time, so that the same push is the same bytes."""


class Body:
    """The rows and removals of a push, packed, in a file without a name. Thread-safe.

    The file is closed once no document has it any more.

    Args:
        lines: as they are to be applied; read once, and memory stays flat.
        directory: where the file lies; None for the machine's own place.

    `count`, `sha256` (in hex) and, of the packed bytes, `size` and `packed_sha256` are known once
    it is made. Raises OSError: the disk failed. ValueError: a removal stands in a snapshot.
    """

    def __init__(self, lines: Iterable[Line], kind: Kind, directory: Path | None = None) -> None:
        self._file = _unnamed(directory)
        weakref.finalize(self, self._file.close)
        self.count = self.size = 0
        digest, packed_digest = hashlib.sha256(), hashlib.sha256()
        packing = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)

        def keep(packed: bytes) -> None:
            packed_digest.update(packed)
            self.size += self._file.write(packed)

        for line in lines:
            if kind == "snapshot" and isinstance(line, Removal):
                raise ValueError(
                    "a snapshot removes by leaving out; a removal stands in changes only"
                )
            data = encode(line)
            digest.update(data)
            keep(packing.compress(data))
            self.count += 1
        keep(packing.flush())
        # A disk that is full must show here, and not while the rows are read again.
        self._file.flush()
        self.sha256, self.packed_sha256 = digest.hexdigest(), packed_digest.hexdigest()

    def read(self, at: int, most: int) -> bytes:
        """Return packed bytes from a place on, at most so many; none beyond the end."""
        return os.pread(self._file.fileno(), most, at)

    def checked(self, crc: int) -> tuple[int, int]:
        """Return a CRC-32 carried on over the rows, and how many bytes these have unpacked."""
        unpacking, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        for at in range(0, self.size, CHUNK_BYTES):
            rows = unpacking.decompress(self.read(at, CHUNK_BYTES))
            crc, size = zlib.crc32(rows, crc), size + len(rows)
        return crc, size


def _unnamed(directory: Path | None) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory)


class Document:
    """A push to one branch: reads like a file, one thread at a time, with others of one `body`.

    The bytes in `head` precede those of the body, those in `tail` follow them.
    """

    def __init__(self, manifest: Manifest, body: Body) -> None:
        line = written(manifest)
        packing = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        own = packing.compress(line) + packing.flush(zlib.Z_SYNC_FLUSH)
        crc, rows_size = body.checked(zlib.crc32(line))
        self.manifest, self.body = manifest, body
        self.head = HEADER + own
        size = (len(line) + rows_size) % 2**32
        self.tail = crc.to_bytes(4, "little") + size.to_bytes(4, "little")
        self._at = 0

    @property
    def size(self) -> int:
        """How many bytes travel."""
        return len(self.head) + self.body.size + len(self.tail)

    def read(self, most: int = -1, /) -> bytes:
        """Return the next bytes, at most so many; all that are left without a number."""
        left = self.size - self._at
        wanted = left if most < 0 else min(most, left)
        found = bytearray()
        while len(found) < wanted:
            piece = self._piece(wanted - len(found))
            found += piece
            self._at += len(piece)
        return bytes(found)

    def seek(self, at: int, whence: int = SEEK_SET, /) -> int:
        """Go to a place, by its distance from the beginning or, with `SEEK_END`, from the end."""
        self._at = self.size + at if whence == SEEK_END else at
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def _piece(self, most: int) -> bytes:
        at = self._at
        if at < len(self.head):
            return self.head[at : at + most]
        at -= len(self.head)
        if at < self.body.size:
            piece = self.body.read(at, min(most, self.body.size - at))
            if not piece:
                raise OSError("a packed push has become shorter")
            return piece
        at -= self.body.size
        return self.tail[at : at + most]
