"""How often the door has started in vain is counted where a full disk still takes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doorctl.store.starts import NAME, SIZE_BYTES, UnwrittenStarts


def test_starts_are_counted_until_the_log_is_written(tmp_path: Path) -> None:
    """Each process counts its own; a log that was written ends the count for all."""
    assert [UnwrittenStarts(tmp_path).begin() for _ in range(3)] == [0, 1, 2]

    process = UnwrittenStarts(tmp_path)
    assert process.begin() == 3
    process.written()
    process.written()
    assert UnwrittenStarts(tmp_path).begin() == 0


def test_the_file_is_overwritten_in_place(tmp_path: Path) -> None:
    """It has one sector, and the same file: that takes no room."""
    UnwrittenStarts(tmp_path).begin()
    before = (tmp_path / NAME).stat()
    UnwrittenStarts(tmp_path).begin()
    after = (tmp_path / NAME).stat()

    assert (after.st_ino, after.st_size, after.st_mode & 0o777) == (
        before.st_ino,
        SIZE_BYTES,
        0o600,
    )


@pytest.mark.parametrize("content", [b"", b"\0" * 511, b"\xff" * 512, b"\0\0\0\1" + bytes(508)])
def test_a_damaged_file_counts_for_nothing_and_is_made_good(tmp_path: Path, content: bytes) -> None:
    """A wrong bit keeps nobody out."""
    (tmp_path / NAME).write_bytes(content)

    assert [UnwrittenStarts(tmp_path).begin() for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("laid", ["nothing", "a folder", "a pipe"])
def test_where_there_can_be_no_file_nothing_is_counted(tmp_path: Path, laid: str) -> None:
    """A read-only disk, or something else of its name, stops no start."""
    if laid == "a folder":
        (tmp_path / NAME).mkdir()
    elif laid == "a pipe":
        os.mkfifo(tmp_path / NAME)
    else:
        tmp_path.rmdir()
    starts = UnwrittenStarts(tmp_path)

    assert [starts.begin() for _ in range(2)] == [0, 0]
    starts.written()
