"""The rows of an XML document: elements of one name, one after another at flat memory.

Expat says each begin and end, and nothing is kept but the row. A document type is refused where it
begins, so that no entity is ever declared: neither a billion laughs nor a file of this machine
(https://docs.python.org/3/library/xml.html#xml-security).
"""

from __future__ import annotations

from typing import Any, BinaryIO, NoReturn
from xml.parsers import expat

from doorctl.extras.mapping.records import (
    LONGEST_ROW,
    MOST_LEVELS,
    MOST_NAMES,
    TOO_DEEP,
    TOO_LONG,
    UNREADABLE,
    Numbered,
)
from doorctl.sync.csv_export import SheetEndedError

PIECE = 65_536
"""Bytes that are parsed at a time."""

NO_TYPE = "file: has a DOCTYPE, which may name other files; export it without"
WITHIN = f"row: stands in another of the same name; {UNREADABLE}"
NAMES = f"row: has more than {MOST_NAMES} names with those before it; {UNREADABLE}"


def xml_records(file: BinaryIO, where: str) -> Numbered:
    """Yield each element of the name `where`, counted from 1, as an object of texts and lists.

    An element's text stands under its name, or under ``value`` beside its attributes ("@name").
    A SheetEndedError is yielded where the document is none, or holds no such element.
    """
    number, document = 0, _Document(where)
    piece = file.read(PIECE)
    while True:
        for row in document.rows(piece):
            number += 1
            yield number, row
            if isinstance(row, SheetEndedError):
                return
        if not piece:
            break
        piece = file.read(PIECE)
    if not number:
        yield 1, SheetEndedError(f"file: has no element {where}; see source.records")


class _Document:
    """What is open in a document at the end of what was parsed of it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._done: list[object] = []
        self._level = 0
        self._open: list[dict[str, Any]] = []
        self._is_leaf = False
        self._texts: list[str] = []
        self._bytes = 0
        self._names: dict[str, str] = {}
        parser = expat.ParserCreate(namespace_separator="}", intern=self._names)
        parser.buffer_text = True
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.StartDoctypeDeclHandler = _refuse_type
        self._parser = parser

    def rows(self, piece: bytes) -> list[object]:
        """Parse on, an empty piece at the end; return the rows that end in it, or what is wrong."""
        try:
            self._bytes += len(piece)
            self._parser.Parse(piece, not piece)
            self._refuse_large()
        except SheetEndedError as ended:
            self._done.append(ended)
        except (expat.ExpatError, ValueError, LookupError):
            self._done.append(SheetEndedError(f"row: no XML; {UNREADABLE}"))
        done, self._done = self._done, []
        return done

    def _refuse_large(self) -> None:
        if self._bytes > LONGEST_ROW:
            raise SheetEndedError(TOO_LONG)
        if len(self._names) > MOST_NAMES:
            raise SheetEndedError(NAMES)

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._level += 1
        self._texts.clear()
        if self._level > MOST_LEVELS:
            raise SheetEndedError(TOO_DEEP)
        is_row = _name(tag) == self._where
        if is_row and self._open:
            raise SheetEndedError(WITHIN)
        if is_row or self._open:
            self._is_leaf = True
            self._open.append({f"@{_name(name)}": value for name, value in attributes.items()})

    def _end(self, tag: str) -> None:
        self._level -= 1
        if not self._open:
            return
        value: Any = self._open.pop()
        if self._is_leaf:
            text = "".join(self._texts).strip()
            value = {**value, "value": text} if value else text
            self._is_leaf = False
        self._texts.clear()
        if self._open:
            _put(self._open[-1], _name(tag), value)
        else:
            self._done.append(value)
            self._bytes = 0


def _put(row: dict[str, Any], name: str, value: Any) -> None:
    if name not in row:
        row[name] = value
    elif isinstance(row[name], list):
        row[name].append(value)
    else:
        row[name] = [row[name], value]


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _refuse_type(*_declared: object) -> NoReturn:
    raise SheetEndedError(NO_TYPE)
