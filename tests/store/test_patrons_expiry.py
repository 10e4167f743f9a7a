from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.guard import unguarded
from tests.store.samples import NOON, SEAL, files_of, key_of, sealed


def test_no_byte_of_a_forgotten_register_is_left(tmp_path: Path) -> None:
    """Row keys and references are gone from every file, though the writer has it open."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    rows = [sealed(number, f"reference-{number}") for number in range(300)]
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        writer.apply(rows, full=True, applied_at=NOON, minimum_age=15, guard=unguarded)
        assert key_of(1) in b"".join(files_of(tmp_path).values())

        assert writer.expire(NOON + timedelta(days=1)) == 300

        left = b"".join(files_of(tmp_path).values())
    assert [number for number in range(300) if key_of(number) in left] == []
    assert b"reference-" not in left
