"""A push as it travels: one stream to each branch, its rows packed once for all of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import SealedRow
from doorctl.config.tables import Push as Limits
from doorctl.sync.document import read_manifest, verify
from doorctl.sync.packing import CHUNK_BYTES, Body
from doorctl.sync.packing import Document as Packed
from doorctl.sync.wire import Line, Removal
from tests.sync.any_lines import LINES
from tests.sync.pushes import EMPTY_DIGEST, KEY, Document, row, stage

ONE_OF_EACH: list[Line] = [row(1), Removal("2")]
WIDE = Limits(max_bytes=10_000_000, max_rows=1000)


@given(st.lists(LINES, max_size=5), st.booleans(), st.data())
def test_lines_come_back_under_any_chunking(
    lines: list[Line], compress: bool, data: st.DataObject
) -> None:
    """However a push is packed and cut up on its way, the same lines are staged in their order."""
    document = Document(lines, "changes").data(compress=compress)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=8)))
    edges = [0, *cuts, len(document)]
    chunks = [document[edges[n] : edges[n + 1]] for n in range(len(edges) - 1)]

    staged = stage(*chunks, limits=WIDE)

    assert list(staged.lines()) == lines
    assert list(staged.lines()) == lines
    assert staged.manifest.count == len(lines)


@pytest.mark.parametrize("compress", [True, False])
def test_the_manifest_tells_what_is_in_it(compress: bool) -> None:
    """Number, digest and signature are those of the uncompressed bytes."""
    document = Document(
        ONE_OF_EACH, "changes", 42, 41, "syd", minimum_age=15, approved_by="somebody"
    )
    data = document.data(compress=compress)
    first, _, rest = (gzip.decompress(data) if compress else data).partition(b"\n")
    manifest = read_manifest(first)

    verify(manifest, [KEY.verify_key()])
    assert json.loads(first) == {
        "format": "doorctl-patrons/1",
        "branch": "syd",
        "kind": "changes",
        "epoch": 42,
        "previous_epoch": 41,
        "count": 2,
        "sha256": hashlib.sha256(rest).hexdigest(),
        "seal": {"key_id": "0badcafe", "memory_kib": 64, "iterations": 1},
        "minimum_age": 15,
        "approved_by": "somebody",
        "signature": manifest.signature,
    }


@pytest.mark.parametrize("compress", [True, False])
def test_the_same_push_is_the_same_bytes(compress: bool) -> None:
    """Nothing of the clock or the machine is in it, so a repeat is recognised."""
    document = Document([row(1), row(2, blocks="UEFSD")])

    assert document.data(compress=compress) == document.data(compress=compress)


def test_an_empty_push_is_one_line() -> None:
    """No rows are rows too: refusing a snapshot of no patrons is the guard's work."""
    staged = stage(Document().data(compress=True))

    assert list(staged.lines()) == []
    assert staged.manifest.sha256 == EMPTY_DIGEST


def test_a_removal_in_a_snapshot_is_not_written() -> None:
    """A snapshot removes by leaving out."""
    with pytest.raises(ValueError, match="a snapshot removes by leaving out"):
        Body(ONE_OF_EACH, "snapshot")


def test_packing_keeps_memory_flat() -> None:
    """A town's rows are never all in memory, neither packed nor read again by two branches."""
    count, most = 40_000, 1_500_000

    def rows() -> Iterator[SealedRow]:
        yield from (row(number) for number in range(count))

    tracemalloc.start()
    try:
        first = Document(rows()).packed()
        second = Packed(first.manifest, first.body)
        size = 0
        for document in (first, second):
            while piece := document.read(CHUNK_BYTES):
                size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size == first.size + second.size > 3 * most
    assert peak < most


def test_branches_share_the_packed_rows() -> None:
    """Each stream is whole and signed for its branch; all bytes of the rows are the same ones."""
    body = Body([row(number) for number in range(1000)], "snapshot")
    streams = []
    for branch in ("oest", "syd", "langaa"):
        manifest = Document(branch=branch).packed().manifest
        whole = Packed(manifest, body)
        streams.append(whole.read())
        assert len(whole.head) + body.size + len(whole.tail) == whole.size == len(streams[-1])
        line, _, rest = gzip.decompress(streams[-1]).partition(b"\n")
        assert (read_manifest(line), hashlib.sha256(rest).hexdigest()) == (manifest, body.sha256)
        assert streams[-1][len(whole.head) : -len(whole.tail)] == body.read(0, body.size)
        assert hashlib.sha256(body.read(0, body.size)).hexdigest() == body.packed_sha256


def test_the_first_piece_holds_the_manifest() -> None:
    """What precedes the rows unpacks to the whole first line: a branch judges it at once."""
    document = Document([row(1)]).packed()

    unpacked = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(document.head)

    assert read_manifest(unpacked) == document.manifest


@given(st.lists(st.one_of(st.integers(-1, 700), st.tuples(st.integers(0, 800), st.booleans()))))
def test_it_reads_like_a_file(steps: list[int | tuple[int, bool]]) -> None:
    """Any reading and going to a place gives what a file of the same bytes gives."""
    document = Document([row(number) for number in range(3)]).packed()
    file = io.BytesIO(document.read())
    document.seek(0)
    for step in steps:
        if isinstance(step, int):
            assert document.read(step) == file.read(step)
        else:
            at, from_end = step
            at = -min(at, document.size) if from_end else at
            whence = os.SEEK_END if from_end else os.SEEK_SET
            assert document.seek(at, whence) == file.seek(at, whence)
        assert document.tell() == file.tell()


def test_rows_that_have_become_shorter_are_a_fault_of_the_disk() -> None:
    """A file that lost its end is told as such; the reader does not wait for ever."""
    document = Document([row(number) for number in range(997)]).packed()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if descriptor.stat().st_size == document.body.size:
                os.ftruncate(int(descriptor.name), 5)

    with pytest.raises(OSError, match="shorter"):
        document.read()
