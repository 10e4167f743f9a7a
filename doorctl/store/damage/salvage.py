"""What is still whole in a damaged register: each row by itself, wherever its page stands.

SQLite stops at the first page that it can't read. Here each page is read by SQLite's file format
(https://www.sqlite.org/fileformat2.html), without the schema and without the pages above it. A
page counts only if its cells fill it exactly, as SQLite's own check demands, so that no deleted row
comes back; a row counts only if its second copy and its checksum are right.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doorctl.core.errors import StoreError
from doorctl.privacy.tables import Table
from doorctl.store.patrons import migrations
from doorctl.store.tables import ASKED, CACHE, KEY_SUM, LEARNT, REGISTER, key_sum, select, whole

PAGE = 4096
INDEX_INNER, INDEX_LEAF, TABLE_LEAF = 2, 10, 13
_HEADER = {INDEX_INNER: 12, INDEX_LEAF: 8, TABLE_LEAF: 8}
_MOST_LOCAL = {INDEX_INNER: 1002, INDEX_LEAF: 1002, TABLE_LEAF: PAGE - 35}
_LEAST_LOCAL = 489
_FIRST_PAGE_SKIPS = 100
_SIZES, _BYTES = (0, 1, 2, 3, 4, 6, 8), 12
_WAL_HEADER, _FRAME_HEADER = 32, 24
Values = tuple[Any, ...]


class _MalformedError(Exception):
    """This page or record is not what SQLite writes."""


@dataclass
class Salvage:
    """The rows of a register that are whole, by table; of the cache's own one, none or one."""

    rows: dict[str, dict[Any, Values]] = field(default_factory=dict)

    def of(self, table: Table) -> dict[Any, Values]:
        """Return a table's rows by their keys, with all columns in the order of the file."""
        return self.rows.get(table.name, {})


def salvaged(path: Path) -> Salvage:
    """Return what is whole in a file that no process writes.

    Nothing of a file whose last commits stand in its WAL alone. Raises StoreError: it can't be
    read.
    """
    try:
        content = path.read_bytes()
        wal = path.with_name(f"{path.name}-wal")
        log = wal.read_bytes() if wal.exists() else b""
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    found = Salvage()
    if not holds_all(content, log):
        return found
    with closing(sqlite3.connect(":memory:")) as model:
        for step in migrations.steps.values():
            step(model)
        kinds = [_Kind(model, table) for table in (REGISTER, LEARNT, ASKED, CACHE)]
        for is_tree, values in records(content):
            for kind in kinds:
                if kind.is_tree is is_tree and (row := kind.whole(values)) is not None:
                    kept = found.rows.setdefault(kind.table.name, {})
                    # Of two rows with one key neither is believed.
                    kept[row[0]] = row if row[0] not in kept else ()
    for kept in found.rows.values():
        for key in [key for key, row in kept.items() if not row]:
            del kept[key]
    return found


class _Kind:
    """One table: how its records are told, and which of them are whole."""

    def __init__(self, model: sqlite3.Connection, table: Table) -> None:
        self.table, self.is_tree = table, table is not CACHE
        info = model.execute(f"PRAGMA table_info({table.name})").fetchall()
        self.names = [name for _, name, *_ in info]
        self._defaults = tuple(0 if name == "incomplete" else None for name in self.names)
        self._first = sum(column.since <= (0, 2) for column in table.columns)
        shown = ", ".join(f"?{n} AS {name}" for n, name in enumerate(self.names, 1))
        self._whole = select(whole(table), f"(SELECT {shown}) AS {table.name}")
        self._model = model

    def whole(self, values: Values) -> Values | None:
        """Return a record with all columns if it is a whole row of this table."""
        if not self._first <= len(values) <= len(self.names):
            return None
        row = values + self._defaults[len(values) :]
        if not self._model.execute(self._whole, row).fetchone()[0]:
            return None
        if KEY_SUM not in self.names:
            return row
        held = dict(zip(self.names, row, strict=True))
        key, check, total = held["row_key"], held["pin_check"], held[KEY_SUM]
        right = isinstance(key, bytes) and isinstance(check, bytes | None)
        return row if right and total in (None, key_sum(key, check)) else None


def holds_all(content: bytes, log: bytes) -> bool:
    """Tell whether the file holds what its WAL does, but for one page: the damaged one."""
    salt = log[16:24]
    last: dict[int, int] = {}
    pending: dict[int, int] = {}
    for at in range(_WAL_HEADER, len(log) - _FRAME_HEADER - PAGE + 1, _FRAME_HEADER + PAGE):
        if log[at + 8 : at + 16] != salt:
            break
        pending[int.from_bytes(log[at : at + 4])] = at + _FRAME_HEADER
        if any(log[at + 4 : at + 8]):
            last, pending = last | pending, {}
    begins = {(number - 1) * PAGE: at for number, at in last.items()}
    return sum(content[b : b + PAGE] != log[at : at + PAGE] for b, at in begins.items()) <= 1


def records(content: bytes) -> Iterator[tuple[bool, Values]]:
    """Yield each record of a sound page, and whether it is of an index or a table without rowid."""
    for begin in range(0, len(content) - PAGE + 1, PAGE):
        page = content[begin : begin + PAGE]
        skips = 0 if begin else _FIRST_PAGE_SKIPS
        if page[skips] not in _HEADER:
            continue
        try:
            cells = list(_cells(page, skips))
        except (IndexError, _MalformedError):
            continue
        for at, length, local in cells:
            try:
                rest = _overflow(content, page, at + local, length - local)
                yield page[skips] != TABLE_LEAF, _values(page[at : at + local] + rest)
            except (IndexError, ValueError, _MalformedError):
                continue


def _cells(page: bytes, skips: int) -> Iterator[tuple[int, int, int]]:
    """Yield where each cell's payload begins, its length and how much of it is on the page.

    Raises _MalformedError: the cells and the free blocks don't fill the page exactly.
    """
    kind = page[skips]
    count, first = _two(page, skips + 3), _two(page, skips + 5) or PAGE
    pointers = skips + _HEADER[kind]
    taken, found = [], []
    for number in range(count):
        begin = _two(page, pointers + 2 * number)
        at = begin + (4 if kind == INDEX_INNER else 0)
        length, at = _varint(page, at)
        if kind == TABLE_LEAF:
            _, at = _varint(page, at)
        local = _local(length, _MOST_LOCAL[kind])
        end = at + local + (4 if local < length else 0)
        taken.append((begin, max(end, begin + 4)))
        found.append((at, length, local))
    free = _two(page, skips + 1)
    while free:
        taken.append((free, free + _two(page, free + 2)))
        following = _two(page, free)
        if following and following <= free:
            raise _MalformedError
        free = following
    _refuse_gaps(sorted(taken), max(first, pointers + 2 * count), page[skips + 7])
    if first < pointers + 2 * count:
        raise _MalformedError
    yield from found


def _refuse_gaps(taken: list[tuple[int, int]], begin: int, fragments: int) -> None:
    gaps = 0
    for starts, ends in [*taken, (PAGE, PAGE)]:
        if starts < begin:
            raise _MalformedError
        gaps += starts - begin
        begin = ends
    if gaps != fragments:
        raise _MalformedError


def _local(length: int, most: int) -> int:
    if length <= most:
        return length
    local = _LEAST_LOCAL + (length - _LEAST_LOCAL) % (PAGE - 4)
    return local if local <= most else _LEAST_LOCAL


def _overflow(content: bytes, page: bytes, at: int, left: int) -> bytes:
    """Return the rest of a payload, from the pages behind its own."""
    rest = b""
    number = int.from_bytes(page[at : at + 4]) if left else 0
    while left > len(rest):
        begin = (number - 1) * PAGE
        if begin < PAGE or begin + PAGE > len(content):
            raise _MalformedError
        rest += content[begin + 4 : begin + PAGE]
        number = int.from_bytes(content[begin : begin + 4])
    return rest[:left]


def _values(payload: bytes) -> Values:
    """Return a record's values; raises ValueError for a text that is none."""
    at_body, at = _varint(payload, 0)
    values, end = [], at_body
    while at < at_body:
        kind, at = _varint(payload, at)
        value, end = _value(payload, kind, end)
        values.append(value)
    if at != at_body or end != len(payload):
        raise _MalformedError
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind in (8, 9):
        return kind - 8, at
    if kind == 0:
        return None, at
    if kind < len(_SIZES):
        end = at + _SIZES[kind]
        return int.from_bytes(payload[at:end], signed=True), end
    if kind < _BYTES:
        # Numbers with fractions are stored nowhere.
        raise _MalformedError
    end = at + (kind - _BYTES) // 2
    value = payload[at:end]
    return (value.decode() if kind % 2 else value), end


def _two(page: bytes, at: int) -> int:
    return page[at] << 8 | page[at + 1]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 9):
        byte = data[place]
        if place == at + 8:
            return value << 8 | byte, place + 1
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, place + 1
    raise _MalformedError
