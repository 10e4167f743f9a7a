"""Invented pushes and the keys that sign them."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from doorctl.access.patron import Patron, SealedRow
from doorctl.config.tables import Push as Limits
from doorctl.core.ports import Seal
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.sync.document import FORMAT, Kind, Manifest, sign
from doorctl.sync.guard import unguarded
from doorctl.sync.packing import Body
from doorctl.sync.packing import Document as Packed
from doorctl.sync.receive import Received, Staged, Staging, Terms
from doorctl.sync.signing import SigningKey
from doorctl.sync.wire import Line
from doorctl.web.reception import Reception
from tests.fakes.clock import FakeClock

KEY = SigningKey(bytes(range(32)))
OTHER_KEY = SigningKey(bytes(32))
SEAL = Seal("0badcafe", 64, 1)
LIMITS = Limits(max_bytes=1_000_000, max_rows=10_000)
TERMS = Terms("oest", (KEY.verify_key(),), LIMITS, SEAL, unguarded)
USUAL_TERMS = replace(TERMS, limits=Limits())
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NUMBERS = (
    "branch", "kind", "epoch", "previous_epoch", "seal", "minimum_age", "approved_by",
)  # fmt: skip
EMPTY_DIGEST = hashlib.sha256().hexdigest()


def row(number: int, patron_ref: str = "", *, resident: bool = True, blocks: str = "") -> SealedRow:
    """Return a sealed row of the card with an invented number; each letter is a block code."""
    key = hashlib.sha256(b"card %d" % number).digest()[:16]
    check = hashlib.sha256(b"pin %d" % number).digest()
    patron = Patron(patron_ref or str(number), check, resident=resident, blocks=frozenset(blocks))
    return SealedRow(key, patron)


@dataclass(frozen=True)
class Document:
    """What goes into a push; valid for branch oest as it stands."""

    lines: Iterable[Line] = ()
    kind: Kind = "snapshot"
    epoch: int = 1
    previous_epoch: int = 0
    branch: str = "oest"
    seal: Seal = SEAL
    minimum_age: int = 14
    approved_by: str | None = None
    key: SigningKey = KEY

    def data(self, *, compress: bool = False) -> bytes:
        """Return the bytes that travel, or what they unpack to."""
        data = self.packed().read()
        return data if compress else gzip.decompress(data)

    def write(self, target: BinaryIO) -> Manifest:
        """Write it as it unpacks; memory stays flat."""
        packed = self.packed()
        shutil.copyfileobj(gzip.GzipFile(fileobj=cast("BinaryIO", packed)), target)
        return packed.manifest

    def packed(self) -> Packed:
        """Pack it, with the lines read once."""
        body = Body(self.lines, self.kind)
        numbers: dict[str, Any] = {name: getattr(self, name) for name in NUMBERS}
        unsigned = Manifest(FORMAT, count=body.count, sha256=body.sha256, **numbers)
        return Packed(sign(unsigned, self.key), body)


def stage(*chunks: bytes, limits: Limits = LIMITS) -> Staged:
    """Take a push in at branch oest."""
    staging = staging_of(limits=limits)
    for chunk in chunks:
        staging.feed(chunk)
    return staging.finish()


def fed(staging: Staging, data: bytes, chunk_bytes: int = 1000) -> Staging:
    """Feed a push in chunks, as it comes from a network, and return what takes it in."""
    for place in range(0, len(data), chunk_bytes):
        staging.feed(data[place : place + chunk_bytes])
    return staging


def staging_of(*, limits: Limits = LIMITS, keys: Iterable[SigningKey] = (KEY,)) -> Staging:
    """Return what takes a push in at branch oest."""
    public_keys = [key.verify_key() for key in keys]
    return Staging(replace(TERMS, public_keys=public_keys, limits=limits), io.BytesIO)


def receive(
    staged: Staged,
    writer: PatronCacheWriter,
    terms: Terms = TERMS,
    *,
    at: datetime = NOON,
    rehearsed: bool = False,
    **more: Any,
) -> Received:
    """Apply a push that is sent to its own address, or only see what it would do."""
    clock = FakeClock(at, high_water=at)
    reception = Reception(
        terms, writer, PatronCache(writer.path, writer.seal), clock, Path(), **more
    )
    return reception.settle(staged, None if rehearsed else staged.manifest.kind)
