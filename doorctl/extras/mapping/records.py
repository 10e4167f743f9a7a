"""The rows of a sheet (CSV) as its library system writes them, and what a row of any kind may have.

One after another at flat memory, and nothing that is wrong is quoted.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import IO, BinaryIO

from doorctl.sync.csv_export import SheetEndedError, SheetError
from doorctl.sync.json_lines import LONGEST_LINE_BYTES

Numbered = Iterator[tuple[int, object]]

LONGEST_ROW = 1 << 20
"""Letters or bytes of a row, and of what stands between two. A user of Alma with all notes has some
20 KiB; a row of a megabyte is another sort of file, or one that was made to fill the memory."""

MOST_LEVELS = 64
"""Levels of a document, one in another. Alma, the deepest, has six."""

MOST_NAMES = 10_000
"""Different names of elements and attributes, each of which the parser keeps; Alma has some 200."""

_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
"""How a spreadsheet is made to keep the zeros in front of a number."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before that of UTF-16, which it begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

UNREADABLE = "the rest of the file can't be read; nothing of it is used"
TOO_LONG = f"row: longer than {LONGEST_ROW} letters; {UNREADABLE}"
TOO_DEEP = f"row: has more than {MOST_LEVELS} levels; {UNREADABLE}"


def csv_records(
    file: BinaryIO, *, encoding: str, delimiter: str, needed: Mapping[str, str]
) -> Numbered:
    """Yield each row's line and its cells by column, or a SheetError.

    Args:
        encoding: as Python names it; a byte order mark goes before it.
        delimiter: one character; empty for the semicolon, tab or comma that the header has most of.
        needed: the columns that have to be there, each with the key that reads it.
    """
    with io.TextIOWrapper(file, encoding=_marked(file, encoding), newline="") as text:
        lines = _Lines(text)
        try:
            yield from _rows(lines, delimiter, needed)
        except SheetEndedError as ended:
            yield max(1, lines.number), ended
        except (csv.Error, UnicodeError):
            what = f"row: no CSV in {encoding}; {UNREADABLE}"
            yield lines.number + 1, NoSheetError(what)


class NoSheetError(SheetEndedError):
    """No sheet, or one whose letters are written in another encoding."""


class _Lines:
    """Lines of a text, none too long; `number` is that of the last.

    `row_letters` are those since somebody set it to 0: a row may have many lines.
    """

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self.number = 0
        self.row_letters = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(LONGEST_LINE_BYTES + 1):
            self.number += 1
            self.row_letters += len(line)
            if len(line) > LONGEST_LINE_BYTES:
                raise SheetEndedError(f"row: longer than {LONGEST_LINE_BYTES} letters")
            if self.row_letters > LONGEST_ROW:
                raise SheetEndedError(TOO_LONG)
            yield line


def _marked(file: BinaryIO, encoding: str) -> str:
    begins = file.read(4)
    file.seek(0)
    return next((marked for mark, marked in _MARKS if begins.startswith(mark)), encoding)


def _rows(lines: _Lines, delimiter: str, needed: Mapping[str, str]) -> Numbered:
    first = next(iter(lines), "")
    by = delimiter or max(";\t,", key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=by), [])]
    if len(set(header)) != len(header):
        raise SheetEndedError("header: names a column twice")
    if missing := [
        f"{key}: has no column {name}" for name, key in needed.items() if name not in header
    ]:
        raise SheetEndedError(f"header: {'; '.join(missing)}")
    for written in csv.reader(lines, delimiter=by, strict=True):
        number, lines.row_letters = lines.number, 0
        cells = [_cell(cell) for cell in map(str.strip, written)]
        if not any(cells):
            continue
        if len(cells) != len(header):
            yield number, SheetError(f"row: has {len(cells)} cells and the header {len(header)}")
        else:
            yield number, dict(zip(header, cells, strict=True))


def _cell(cell: str) -> str:
    formula = _FORMULA.fullmatch(cell) if cell.startswith('="') else None
    return formula[1].strip() if formula else cell
