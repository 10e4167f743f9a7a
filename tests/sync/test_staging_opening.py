from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import PushInvalidError
from doorctl.sync.document import SigningKey
from doorctl.sync.receive import Staging, Terms, unguarded
from doorctl.sync.rows import LONGEST_LINE_BYTES
from tests.sync.pushes import KEY, LIMITS, OTHER_KEY, SEAL, TERMS, Document, row

DOCUMENT = Document([row(number) for number in range(5)])
PLAIN, PACKED = DOCUMENT.data(), DOCUMENT.data(compress=True)
FIRST = PLAIN.index(b"\n") + 1


def opening(*keys: SigningKey) -> Staging:
    """Return what takes a push in for a branch that knows two keys; its disk is not touched."""
    public_keys = [key.verify_key() for key in keys or (OTHER_KEY, KEY)]
    limits = replace(LIMITS, max_line_bytes=LONGEST_LINE_BYTES)
    return Staging(Terms("oest", public_keys, limits, SEAL, unguarded), untouched)


def untouched() -> BinaryIO:
    """Fail: the beginning of a push is kept on no disk."""
    raise AssertionError("the disk was touched")


@given(st.lists(st.integers(0, len(PLAIN)), max_size=8))
def test_it_is_told_at_the_byte_that_ends_the_line(cuts: list[int]) -> None:
    """However the bytes come: no chunk before it is enough, and the one with it is."""
    reader, at = opening(), 0
    for cut in sorted({*cuts, len(PLAIN)}):
        if at >= FIRST:
            break
        assert reader.begin(PLAIN[at:cut]) is (cut >= FIRST)
        at = cut


@pytest.mark.parametrize("step", [1, 7, len(PACKED)])
def test_packed_it_is_the_same(step: int) -> None:
    """The line is there as soon as enough of it can be unfolded."""
    reader = opening()

    assert any(reader.begin(PACKED[at : at + step]) for at in range(0, len(PACKED), step))


@pytest.mark.parametrize("step", [1000, LONGEST_LINE_BYTES + 1])
def test_a_line_without_an_end_is_given_up(step: int) -> None:
    """One byte more than a line may have is refused; just as many are still waited for."""
    reader, left = opening(), LONGEST_LINE_BYTES
    while left > 0:
        assert reader.begin(b"x" * min(step, left)) is False
        left -= step
    sentence = f"push: line 1: longer than {LONGEST_LINE_BYTES} bytes; give one row a line"

    with pytest.raises(PushInvalidError, match=f"^{re.escape(sentence)}$"):
        reader.begin(b"x")


@pytest.mark.parametrize("data", [PLAIN, PACKED])
@given(cut=st.integers(0, len(PLAIN)))
def test_what_follows_in_the_same_piece_waits(data: bytes, cut: int) -> None:
    """A short push is one piece: its rows are kept once the disk may be touched, and all are."""
    spool = io.BytesIO()
    staging = Staging(TERMS, lambda: spool)
    begun = staging.begin(data[:cut])
    assert begun or staging.begin(data[cut:])
    assert spool.getvalue() == b""
    if begun:
        staging.feed(data[cut:])

    assert list(staging.finish().lines()) == DOCUMENT.lines
