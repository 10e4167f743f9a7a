"""What is the same in each branch.db is mended; all else in it stands as it did."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from doorctl.core.errors import StoreError
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.damage.mending import mended
from tests.store.samples import NOON, Branch, key_of

PAGE = 4096


@pytest.fixture
def filled(path: Path, branch: Branch) -> Path:
    """A branch with one of each, as its writer leaves it."""
    branch.fill()
    branch.writer.close()
    BranchRecordsWriter(path).close()
    return path


def said(path: Path) -> str:
    """Return what the door would go by."""
    book = BranchRecords(path)
    try:
        rights = book.bans(key_of(1), "p-1"), book.passes_of(key_of(1))
        return repr((rights, book.override(), book.calendar(), book.damage()))
    finally:
        book.close()


def pages_of_schema(content: bytes) -> list[int]:
    """Return the bytes of the header and of the pages that hold the schema."""
    begins = [at for at in range(0, len(content), PAGE) if b"CREATE " in content[at : at + PAGE]]
    used = [byte for at in [0, *begins] for byte in range(at, at + PAGE) if content[byte]]
    # The key that was laid over last is no part of what is known.
    return [byte for byte in used if not 68 <= byte < 72]


def test_wrong_bits_in_the_header_or_the_schema_are_mended(filled: Path) -> None:
    """Every right stands as before, and the damaged file is kept.

    Bug (second penetration test, S15): one wrong bit in the schema of branch.db refused every card
    until somebody restored a backup.
    """
    content, before, rng = filled.read_bytes(), said(filled), Random(3)  # noqa: S311 - no secret
    places, found = pages_of_schema(content), 0
    for bits in [1] * 20 + [3] * 10:
        spoilt = bytearray(content)
        for byte in rng.sample(places, bits):
            spoilt[byte] ^= 1 << rng.randrange(8)
        filled.write_bytes(spoilt)
        aside = mended(filled, NOON)
        if aside is not None:
            found += 1
            assert aside.read_bytes() == spoilt
            assert mended(filled, NOON) is None
        assert said(filled) == before
    assert found > 20

    BranchRecordsWriter(filled).close()
    assert said(filled) == before


def test_a_sound_file_and_one_that_is_no_branch_stay(filled: Path) -> None:
    """Nothing is written where there is no need, or no knowing what stood there."""
    content = filled.read_bytes()
    assert mended(filled, NOON) is None
    assert filled.read_bytes() == content
    for other in (b"a note of somebody\n" * 5000, content[:PAGE] + b"\0" * (len(content) - PAGE)):
        filled.write_bytes(other)
        with pytest.raises(StoreError, match="restore its backup"):
            mended(filled, NOON)
        assert filled.read_bytes() == other
    assert list(filled.parent.glob("*.damaged-*")) == []
