"""Bytes of a push as they come, plain or gzip, in pieces that stay small."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

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
