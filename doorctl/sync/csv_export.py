"""An export as a CSV file: one identifier a row, and beside it what its patron is.

The first line names the columns of :data:`COLUMNS`, in any order; those not in :data:`NEEDED` may
be missing. They hold what the fields of the same name of a JSON row hold. Commas or semicolons
separate the cells. A patron with two cards has two rows that differ only in
:data:`IDENTIFIER_COLUMNS`; one without a card has a row in which these are empty. ``blocks`` and
``tags`` hold any number of codes, separated by ``|``; a hold has at least its ``onHoldFrom``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from doorctl.sync.json_lines import LONGEST_LINE_BYTES, numbered

SUFFIX = ".csv"

PLAIN_COLUMNS = ("patronId", "pincode", "pincodeChanged", "birthday")
"""Columns that hold a field of a JSON row as it is."""

IDENTIFIER_COLUMNS = ("identifier", "identifierType", "status", "expiryDate")

PATRON_COLUMNS = (
    "patronId", "pincode", "pincodeChanged", "resident", "birthday", "blocks", "onHoldFrom",
    "onHoldTo", "tags",
)  # fmt: skip

COLUMNS = frozenset(IDENTIFIER_COLUMNS + PATRON_COLUMNS)

NEEDED = frozenset({"patronId", "identifier", "identifierType", "status", "resident"})

BOOLEANS = {"true": True, "false": False}

Cells = dict[str, str]


class SheetError(ValueError):
    """A line is no row of a sheet; the text says what is wrong with it and quotes nothing."""


class SheetEndedError(SheetError):
    """A line after which nothing can be read reliably."""


def sheet_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield each patron's first line with its row as JSON would hold it, or a `SheetError`."""
    patrons: dict[str, list[tuple[int, Cells]]] = {}
    for number, cells in _records(file):
        if isinstance(cells, SheetError):
            yield number, cells
        else:
            patrons.setdefault(cells.get("patronId", ""), []).append((number, cells))
    for rows in patrons.values():
        yield _patron_of_rows(rows)


def _records(file: BinaryIO) -> Iterator[tuple[int, Cells | SheetError]]:
    lines = _Lines(file)
    try:
        first = next(iter(lines), "")
        header = _header(first)
        for cells in csv.reader(lines, delimiter=_delimiter(first), strict=True):
            yield lines.number, _named(header, cells)
    except csv.Error:
        yield lines.number, SheetEndedError("row: not CSV; see its quotation marks")
    except SheetEndedError as problem:
        yield max(1, lines.number), problem


def _named(header: list[str], cells: list[str]) -> Cells | SheetError:
    if len(cells) != len(header):
        return SheetError(f"row: has {len(cells)} cells and the header {len(header)}")
    named = zip(header, map(str.strip, cells), strict=True)
    return {name: cell for name, cell in named if cell}


class _Lines:
    """The lines as text, up to an unreadable one, as nothing after it can be trusted."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = numbered(file)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise SheetEndedError("row: not UTF-8; save the export as UTF-8") from None
            if len(line) > LONGEST_LINE_BYTES:
                raise SheetEndedError(f"row: longer than {LONGEST_LINE_BYTES} bytes")
            yield text


def _header(line: str) -> list[str]:
    with suppress(csv.Error):
        names = [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(line)), ())]
        if len(set(names)) == len(names) and NEEDED <= set(names) <= COLUMNS:
            return names
    needed = ", ".join(sorted(NEEDED))
    raise SheetEndedError(f"header: give the names of the columns, at least {needed}")


def _delimiter(header: str) -> str:
    return ";" if ";" in header else ","


def _patron_of_rows(rows: Sequence[tuple[int, Cells]]) -> tuple[int, object]:
    (line, first), *others = rows
    for number, cells in others:
        for name in PATRON_COLUMNS:
            if cells.get(name) != first.get(name):
                return number, SheetError(f"{name}: is another one in line {line}, same patron")
    identifiers = [
        {name: cells[name] for name in IDENTIFIER_COLUMNS if name in cells} for _, cells in rows
    ]
    return line, {**_fields(first), "identifiers": list(filter(None, identifiers))}


def _fields(cells: Cells) -> dict[str, object]:
    fields: dict[str, object] = {name: cells[name] for name in PLAIN_COLUMNS if name in cells}
    if "resident" in cells:
        fields["resident"] = BOOLEANS.get(cells["resident"].lower(), cells["resident"])
    if "onHoldFrom" in cells or "onHoldTo" in cells:
        fields["onHold"] = {"from": cells.get("onHoldFrom"), "to": cells.get("onHoldTo")}
    fields["blockStatus"] = [{"blockedReason": code} for code in _codes(cells, "blocks")]
    fields["tags"] = _codes(cells, "tags")
    return fields


def _codes(cells: Cells, name: str) -> list[str]:
    return [code.strip() for code in cells[name].split("|")] if name in cells else []
