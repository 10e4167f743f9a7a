from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from doorctl.core.errors import RowsClashError
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import Push, unguarded
from tests.store.samples import NOON, SEAL, files_of, key_of, push, sealed


def test_no_byte_of_a_forgotten_register_is_left(tmp_path: Path) -> None:
    """Row keys and references are gone from every file, though the writer has it open."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    rows = [sealed(number, f"reference-{number}") for number in range(300)]
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        push(writer, rows=rows)
        assert key_of(1) in b"".join(files_of(tmp_path).values())

        assert writer.expire(NOON + timedelta(days=1)) == 300

        left = b"".join(files_of(tmp_path).values())
    assert [number for number in range(300) if key_of(number) in left] == []
    assert b"reference-" not in left


def test_a_register_of_the_highest_number_can_be_forgotten_and_renumbered(tmp_path: Path) -> None:
    """Its number stays then, for there is none above it; a lower one lets a snapshot follow."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    rows = [sealed(1, "1")]
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        all_of = partial(
            writer.apply, rows, full=True, applied_at=NOON, minimum_age=15, guard=unguarded
        )
        all_of(push=Push(2**63 - 1, "digest"))
        with pytest.raises(RowsClashError, match="no number follows on it"):
            all_of()
        assert writer.expire(NOON + timedelta(days=1)) == 1
        assert writer.held() == Push(2**63 - 1)

        writer.renumber(41)
        assert writer.held() == Push(41)
        assert all_of().epoch == 42
        writer.renumber(50)
        assert writer.held() == Push(42)
