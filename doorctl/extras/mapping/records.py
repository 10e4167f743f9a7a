"""The rows of an export as its library system writes them: JSON lines, JSON, CSV or XML.

One after another at flat memory, and nothing that is wrong is quoted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, BinaryIO
from xml.etree import ElementTree as ET

from doorctl.sync.csv_export import SheetEndedError, SheetError
from doorctl.sync.json_lines import LONGEST_LINE_BYTES

Numbered = Iterator[tuple[int, object]]

_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
"""How a spreadsheet is made to keep the zeros in front of a number."""

UNREADABLE = "the rest of the file can't be read; nothing of it is used"


def _fields(twice: list[str]) -> type[dict[str, Any]]:
    """Return a class of objects; each field that stands in one twice is noted, for one is lost."""
    put = dict.__setitem__

    class Fields(dict[str, Any]):
        __slots__ = ()

        def __setitem__(self, name: str, value: Any) -> None:
            if name in self:
                twice.append(name)
            put(self, name, value)

    return Fields


def json_records(file: BinaryIO, where: str) -> Numbered:
    """Yield the items of one list in a JSON document, counted from 1.

    `where` is the list's path, such as ``users``; empty for a document that is a list itself. A
    SheetEndedError is yielded where the document ends too early, or holds no such list.
    """
    from ijson import JSONError, items

    number, twice = 0, list[str]()
    made = _fields(twice)
    try:
        for row in items(file, f"{where}.item" if where else "item", map_type=made):
            number += 1
            if twice:
                yield number, SheetEndedError("row: a field stands in it twice; give each once")
                return
            yield number, row
    except (JSONError, ValueError, RecursionError):
        yield number + 1, SheetEndedError(f"row: no JSON; {UNREADABLE}")
        return
    if not number:
        what = f"file: has no list at {where}; see source.records" if where else "file: is no list"
        yield 1, SheetEndedError(what)


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
            yield lines.number + 1, SheetEndedError(what)


class _Lines:
    """Lines of a text, none longer than a row may be; `number` is that of the last."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(LONGEST_LINE_BYTES + 1):
            self.number += 1
            if len(line) > LONGEST_LINE_BYTES:
                raise SheetEndedError(f"row: longer than {LONGEST_LINE_BYTES} letters")
            yield line


def _marked(file: BinaryIO, encoding: str) -> str:
    begins = file.read(4)
    file.seek(0)
    if begins.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    return "utf-16" if begins.startswith((b"\xff\xfe", b"\xfe\xff")) else encoding


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
    for cells in csv.reader(lines, delimiter=by, strict=True):
        number = lines.number
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != len(header):
            yield number, SheetError(f"row: has {len(cells)} cells and the header {len(header)}")
        else:
            yield number, dict(zip(header, map(_cell, cells), strict=True))


def _cell(written: str) -> str:
    formula = _FORMULA.fullmatch(written.strip())
    return formula[1].strip() if formula else written.strip()


def xml_records(file: BinaryIO, where: str) -> Numbered:
    """Yield each element of the name `where`, counted from 1, as an object of texts and lists.

    An element's text stands under its name, or under ``value`` beside its attributes ("@name").
    """
    number = 0
    around: list[ET.Element] = []
    try:
        for event, element in ET.iterparse(file, ("start", "end")):  # noqa: S314 - a file of theirs
            if event == "start":
                around.append(element)
                continue
            around.pop()
            if _name(element.tag) == where:
                number += 1
                yield number, _object(element)
            elif any(_name(outer.tag) == where for outer in around):
                continue
            # What has been read is let go, or the whole file would be held.
            if around:
                around[-1].remove(element)
    except (ET.ParseError, ValueError, LookupError, RecursionError):
        yield number + 1, SheetEndedError(f"row: no XML; {UNREADABLE}")
        return
    if not number:
        yield 1, SheetEndedError(f"file: has no element {where}; see source.records")


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _object(element: ET.Element) -> Any:
    text = (element.text or "").strip()
    if not len(element) and not element.attrib:
        return text
    row: dict[str, Any] = {f"@{_name(name)}": value for name, value in element.attrib.items()}
    for inner in element:
        name, value = _name(inner.tag), _object(inner)
        if name not in row:
            row[name] = value
        elif isinstance(row[name], list):
            row[name].append(value)
        else:
            row[name] = [row[name], value]
    if not len(element):
        row["value"] = text
    return row
