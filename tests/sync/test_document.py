import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import SealedRow
from doorctl.config.tables import Push as Limits
from doorctl.sync.document import (
    SPOOLED_IN_MEMORY_BYTES,
    read_manifest,
    verify,
)
from doorctl.sync.rows import Line, Removal
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
    """Number, digest and signature are those of the uncompressed bytes; it is returned too."""
    target = io.BytesIO()
    document = Document(
        ONE_OF_EACH, "changes", 42, 41, "syd", minimum_age=15, approved_by="somebody"
    )
    manifest = document.write(target, compress=compress)
    data = target.getvalue()
    first, _, rest = (gzip.decompress(data) if compress else data).partition(b"\n")

    assert read_manifest(first) == manifest
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
    """No rows are rows too: refusing a snapshot of nobody is the guard's work."""
    staged = stage(Document().data())

    assert list(staged.lines()) == []
    assert staged.manifest.sha256 == EMPTY_DIGEST


def test_a_removal_in_a_snapshot_is_not_written() -> None:
    """A snapshot removes by leaving out; nothing is written and the target stays empty."""
    target = io.BytesIO()
    with pytest.raises(ValueError, match="a snapshot removes by leaving out"):
        Document(ONE_OF_EACH).write(target)

    assert target.getvalue() == b""


def test_writing_keeps_memory_flat(tmp_path: Path) -> None:
    """A town's rows are never all in memory: a spool holds them, a file beyond its limit."""
    count = 20_000

    def rows() -> Iterator[SealedRow]:
        yield from (row(number) for number in range(count))

    tracemalloc.start()
    try:
        with (tmp_path / "push").open("wb") as target:
            Document(rows()).write(target)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (tmp_path / "push").stat().st_size > 4 * SPOOLED_IN_MEMORY_BYTES
    assert peak < 3 * SPOOLED_IN_MEMORY_BYTES
