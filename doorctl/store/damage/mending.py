"""Mends what is the same in every branch.db: its header, and the pages that hold its schema.

Without them SQLite reads nothing, and every card would be refused though all rows are whole. The
writer rewrites the file at each start, so its tables stand where those of a new one do.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from doorctl.core.errors import StoreError
from doorctl.store.branch_rows import migrations
from doorctl.store.connection import create_private, write_over
from doorctl.store.damage.salvage import PAGE, holds_all, records
from doorctl.store.damage.set_aside import free_name, is_damaged
from doorctl.store.writer import WriterLock

_WAL = slice(18, 20)
_KEPT = (slice(24, 28), slice(68, 72))
"""Counter of changes, and which key was laid over: as they stand. Free pages are found anew."""
_PAGES, _COUNTED_BY = slice(28, 32), slice(92, 96)
_SCHEMA_COLUMNS = len(("type", "name", "tbl_name", "rootpage", "sql"))
_ROOTS = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"


def mended(path: Path, at: datetime) -> Path | None:
    """Mend a file that no process writes; return where the damaged one is kept, None for no need.

    `at` is the aware time for that name. Raises StoreError: it is damaged elsewhere, so that
    what it held is unknown; nothing was changed.
    """
    if not is_damaged(path, migrations):
        return None
    with WriterLock(path):
        try:
            content, wal = path.read_bytes(), path.with_name(f"{path.name}-wal")
            log = wal.read_bytes() if wal.exists() else b""
            new = _with_known_pages(content)
            if new == content or not holds_all(content, log):
                raise StoreError(f"{path} is damaged where it can't be mended; restore its backup")
            aside = free_name(path, at)
            create_private(aside, content)
            for beside in ("-wal", "-shm"):
                path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
            write_over(path, new, keep=True)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path} can't be mended: {error.strerror}") from error
    return aside


def _with_known_pages(content: bytes) -> bytes:
    """Return the file with the pages of a new one; unchanged where it can't be told to fit."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        migrations.begin(model)
        # As the writer does.
        model.execute("VACUUM")
        image, roots = model.serialize(), dict(model.execute(_ROOTS))
    pages = [0, *(at for at in range(0, len(image), PAGE) if b"CREATE " in image[at : at + PAGE])]
    if len(content) < len(image) or not _fits(content, roots):
        return content
    new = bytearray(content)
    for begin in pages:
        new[begin : begin + PAGE] = image[begin : begin + PAGE]
    new[_WAL] = b"\x02\x02"
    for part in _KEPT:
        new[part] = content[part]
    new[_PAGES], new[_COUNTED_BY] = (len(content) // PAGE).to_bytes(4), content[_KEPT[0]]
    return bytes(new)


def _fits(content: bytes, roots: dict[str, int]) -> bool:
    """Tell whether what can be read of the schema has its tables where a new file does."""
    there = {
        values[1]: values[3]
        for is_tree, values in records(content)
        if not is_tree and len(values) == _SCHEMA_COLUMNS and values[0] in {"table", "index"}
    }
    known = [root == roots[name] for name, root in there.items() if name in roots]
    return all(known) and 2 * len(known) > len(roots)
