"""An export as a CSV file: one identifier a row, and beside it what its patron is.

The first line names the columns of :data:`COLUMNS`, in any order, those not in :data:`NEEDED` may
be missing; they hold what the fields of the same name of a JSON row hold. Commas or semicolons
part the cells. A patron with two cards has two rows that differ only in
:data:`IDENTIFIER_COLUMNS`; one without a card has a row in which these are empty. ``blocks`` and
``tags`` hold any number of codes, parted by ``|``; a hold has at least its ``onHoldFrom``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from doorctl.sync.lines import LONGEST_LINE_BYTES, numbered

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
    """A line after which nothing can be read as what it is."""


def is_sheet(path: Path) -> bool:
    """Tell by its name whether a feed is a CSV file."""
    return path.suffix.lower() == SUFFIX


def sheet_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield each patron's first line with its row as JSON would hold it, or a `SheetError`."""
    patrons: dict[str, list[tuple[int, Cells]]] = {}
    for number, cells in _records(file):
        if isinstance(cells, SheetError):
            yield number, cells
        else:
            patrons.setdefault(cells.get("patronId", ""), []).append((number, cells))
    for rows in patrons.values():
        yield _patron(rows)


def _records(file: BinaryIO) -> Iterator[tuple[int, Cells | SheetError]]:
    lines = _Lines(file)
    first = next(iter(lines), "")
    header = _header(first)
    if header is None:
        names = ", ".join(sorted(NEEDED))
        problem = SheetEndedError(f"header: give the names of the columns, at least {names}")
        yield max(1, lines.number), lines.problem or problem
        return
    for number, cells in _cut(lines, _delimiter(first)):
        yield number, cells if isinstance(cells, SheetError) else _named(header, cells)


def _named(header: list[str], cells: list[str]) -> Cells | SheetError:
    if len(cells) != len(header):
        return SheetError(f"row: has {len(cells)} cells and the header {len(header)}")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}


class _Lines:
    """The lines as text; one that can't be read ends them, as nothing after it can be trusted."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = numbered(file)
        self.number = 0
        self.problem: SheetEndedError | None = None

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            try:
                text = line.decode()
            except UnicodeDecodeError:
                self.problem = SheetEndedError("row: not UTF-8; save the export as UTF-8")
                return
            if len(line) > LONGEST_LINE_BYTES:
                self.problem = SheetEndedError(f"row: longer than {LONGEST_LINE_BYTES} bytes")
                return
            yield text


def _header(line: str) -> list[str] | None:
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(line)), ())]
    except csv.Error:
        return None
    right = len(set(names)) == len(names) and set(names) <= COLUMNS and set(names) >= NEEDED
    return names if right else None


def _delimiter(header: str) -> str:
    return ";" if ";" in header else ","


def _cut(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | SheetError]]:
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            yield lines.number, [cell.strip() for cell in cells]
    except csv.Error:
        yield lines.number, SheetEndedError("row: not CSV; see its quotation marks")
    if lines.problem is not None:
        yield lines.number, lines.problem


def _patron(rows: Iterable[tuple[int, Cells]]) -> tuple[int, object]:
    (line, first), *others = rows
    for number, cells in others:
        for name in PATRON_COLUMNS:
            if cells.get(name) != first.get(name):
                return number, SheetError(f"{name}: is another one in line {line}, same patron")
    identifiers = [cells for _, cells in [(line, first), *others]]
    return line, {**_fields(first), "identifiers": list(_identifiers(identifiers))}


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


def _identifiers(rows: Iterable[Cells]) -> Iterator[Cells]:
    for cells in rows:
        identifier = {name: cells[name] for name in IDENTIFIER_COLUMNS if name in cells}
        if identifier:
            yield identifier
