"""Whom the damaged rows of bans and restrictions may concern, so that they shut out nobody else.

A row names its card and its patron in its columns and once more in its second copy, and two indexes
name them again. So one wrong bit leaves it known whose row it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from doorctl.core.errors import StoreError
from doorctl.privacy.tables import Table
from doorctl.store.tables import TWICE, select, whole

Records = list[tuple[Any, ...]]


class InDoubtError(Exception):
    """A damaged row may concern this card or its patron."""


def numbers_of(
    scan: Callable[[str], Records],
    fetch: Callable[[str, Sequence[object]], Records],
    table: Table,
    row_key: bytes,
    patron_ref: str | None,
) -> list[int]:
    """Return the whole rows about a card or its patron, from a table with damage.

    Its rows and its two indexes each name all numbers; two of the three have to agree. `scan`
    returns what can be read. Raises InDoubtError: they don't, or a damaged row may be theirs.
    """
    name = table.name
    held = {number for (number,) in scan(select("number", f"{name} NOT INDEXED ORDER BY number"))}
    cards: dict[int, Any] = dict(scan(_indexed(name, "row_key", "card")))
    refs: dict[int, Any] = dict(scan(_indexed(name, "patron_ref", "patron")))
    known = [frozenset(held), frozenset(cards), frozenset(refs)]
    agreed = next((one for one in known if known.count(one) > 1), None)
    if agreed is None:
        raise InDoubtError
    found = []
    for number in sorted(agreed):
        is_whole, *named = _row(fetch, table, number)
        theirs = _is_of(row_key, patron_ref, *named)
        if is_whole:
            found += [number] if theirs else []
            continue
        # A number that only one of them lacks is in the others.
        indexed = number in cards and number in refs
        if theirs or not indexed or cards[number] == row_key:
            raise InDoubtError
        if patron_ref and refs[number] == patron_ref:
            raise InDoubtError
    return found


def _indexed(table: str, column: str, index: str) -> str:
    by = f"{table} INDEXED BY {table}_by_{index} ORDER BY {column}"
    return select(f"number, {column}", by)


def _row(
    fetch: Callable[[str, Sequence[object]], Records], table: Table, number: int
) -> tuple[Any, ...]:
    """Return whether a row is whole, and what names its subject; nothing where it is not read."""
    named = ", ".join(f"CAST({column} AS BLOB)" for column in ("row_key", "patron_ref", TWICE))
    columns = f"{whole(table)}, {named}"
    try:
        return next(iter(fetch(select(columns, f"{table.name} WHERE number = ?"), (number,))), (0,))
    except StoreError:
        # A wrong length may be too much for SQLite, too.
        return (0,)


def _is_of(row_key: bytes, patron_ref: str | None, *named: bytes | None) -> bool:
    ref = b"" if patron_ref is None else patron_ref.encode()
    key, whose, twice = named or (None, None, None)
    quoted = row_key.hex().upper().encode()
    again = twice is not None and (quoted in twice or (bool(ref) and b"'%s'" % ref in twice))
    return key == row_key or bool(ref and whose == ref) or again
