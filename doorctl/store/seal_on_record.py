"""What the rows of a cache are sealed with, for a process that must not have the key."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from doorctl.store.connection import open_reader, translated
from doorctl.store.sealing import Seal


def seal_on_record(path: Path) -> Seal | None:
    """Return the seal that a cache was made with, or last filled with; None for a bare file.

    Raises:
        StoreError: the cache is missing or can't be read.
    """
    with translated(path), closing(open_reader(path)) as database:
        record = database.execute("SELECT key_id, memory_kib, iterations FROM cache").fetchone()
    return None if record is None else Seal(*record)
