from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import PushInvalidError, PushUnsignedError
from doorctl.sync.receive import Opening
from doorctl.sync.rows import LONGEST_LINE_BYTES
from tests.sync.pushes import KEY, OTHER_KEY, Document, row

DOCUMENT = Document([row(number) for number in range(5)])
PLAIN, PACKED = DOCUMENT.data(), DOCUMENT.data(compress=True)
FIRST = PLAIN.index(b"\n") + 1


def opening(*, branch: str = "oest") -> Opening:
    """Return what reads the beginning of a push for a branch that knows two keys."""
    return Opening(branch=branch, public_keys=[OTHER_KEY.verify_key(), KEY.verify_key()])


@given(st.lists(st.integers(0, len(PLAIN)), max_size=8))
def test_it_is_told_at_the_byte_that_ends_the_line(cuts: list[int]) -> None:
    """However the bytes come: no chunk before it is enough, and the one with it is."""
    reader, at = opening(), 0
    for cut in sorted({*cuts, len(PLAIN)}):
        if at >= FIRST:
            break
        assert reader.feed(PLAIN[at:cut]) is (cut >= FIRST)
        at = cut


@pytest.mark.parametrize("step", [1, 7, len(PACKED)])
def test_packed_it_is_the_same(step: int) -> None:
    """The line is there as soon as enough of it can be unfolded."""
    reader = opening()

    assert any(reader.feed(PACKED[at : at + step]) for at in range(0, len(PACKED), step))


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_either_key_vouches(key: object) -> None:
    """While the sender's key is replaced, pushes of both are taken."""
    assert opening().feed(Document([row(1)], key=key).data())  # type: ignore[arg-type]


def test_a_stranger_is_refused_at_once() -> None:
    """Nobody vouches for it; nothing after the line is waited for."""
    reader = Opening(branch="oest", public_keys=[OTHER_KEY.verify_key()])

    with pytest.raises(PushUnsignedError, match="by no key of this branch"):
        reader.feed(PLAIN[:FIRST])


def test_a_push_for_another_branch_is_refused() -> None:
    """Also a rightly signed one, and the sentence names which branch this is."""
    with pytest.raises(PushUnsignedError, match="for another branch than syd;"):
        opening(branch="syd").feed(PLAIN)


@pytest.mark.parametrize("step", [1000, LONGEST_LINE_BYTES + 1])
def test_a_line_without_an_end_is_given_up(step: int) -> None:
    """One byte more than a line may have is refused; just as many are still waited for."""
    reader, left = opening(), LONGEST_LINE_BYTES
    while left > 0:
        assert reader.feed(b"x" * min(step, left)) is False
        left -= step
    sentence = f"push: line 1: longer than {LONGEST_LINE_BYTES} bytes; give one row a line"

    with pytest.raises(PushInvalidError, match=f"^{re.escape(sentence)}$"):
        reader.feed(b"x")


def test_damage_is_told_of_the_first_line() -> None:
    """In the words of whoever finds it."""
    with pytest.raises(PushInvalidError, match=r"^push: line 1: gzip: damaged; send it again$"):
        opening().feed(PACKED[:10] + b"\xff" * 20)


def test_more_lines_in_the_same_piece_belong_to_others() -> None:
    """A short push is one piece; its rows are no part of the manifest."""
    assert opening().feed(zlib.compress(PLAIN, wbits=31))
